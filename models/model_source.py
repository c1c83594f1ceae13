"""Which trained model is meant, and what is known of it before it is loaded. Free of TensorFlow."""

import dataclasses
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

from base.errors import input_error, nearest, require
from base.recipes import read_yaml
from models.export.metadata import NEEDS, read_metadata
from models.imagenet import imagenet_classes

_OF_IMAGES = ("image_size", "channels", "fit", "stored_as")
FORMS = "a run's folder, a .keras file, a SavedModel's folder"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelSource:
    """A model that has not been loaded yet; what nobody knows of it is None."""

    name: str  # as the user gave it
    kind: Literal["keras", "saved_model", "backbone"]
    path: Path | None = None
    classes: tuple[str, ...] | None = None
    image_size: int | None = None
    channels: int | None = None
    fit: Literal["stretch", "crop", "pad"] | None = None
    stored_as: dict[str, Any] | None = None  # the form of the images that it was trained on, as the data set says it
    own: str | None = None  # path/to/file.py:function that built it, and may hold classes of its own
    needs: str | None = None  # of an export: the name of such a file, for people; nobody is to look for it, or run it


def find_model(model: str, classes_file: str | None = None, backbones: Collection[str] = ()) -> ModelSource:
    """Finds a model, and what stands beside it about its classes and its images.

    Args:
        model: A run's folder, a .keras file, a SavedModel's folder (of the last two: alone or in a run's folder), or a
            backbone's name.
        classes_file: The classes' names, a line each, in the order of the model's outputs; None: those of the run.
        backbones: The known names.

    Raises:
        InputError: None of them, a run that is not finished, or a file that can't be read.
    """
    source = _found(model, backbones)
    if classes_file is None:
        return source
    return dataclasses.replace(source, classes=read_classes(Path(classes_file)))


def read_classes(path: Path) -> tuple[str, ...]:
    """Names of classes, a line each; empty lines at the end don't count.

    Raises:
        InputError: No such file, no UTF-8, names that are empty or not different, or less than two.
    """
    try:
        names = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise input_error(
            "Expected --classes to be a readable file of names", file=str(path), error=str(error)
        ) from None
    names = [name.strip() for name in names]
    twice = sorted({name for name in names if names.count(name) > 1})
    expected = "Expected in --classes at least two names, a line each, none empty and none twice"
    require(len(names) > 1 and not twice and all(names), expected, file=str(path), names=len(names), twice=twice[:5])
    return tuple(names)


def _found(model: str, backbones: Collection[str]) -> ModelSource:
    path = Path(model)
    if path.is_file():
        do = "A .h5 file becomes one with keras.models.load_model(...).save('model.keras')."
        known = path.suffix == ".keras"
        require(known, f"Expected MODEL to be {FORMS}", model=model, do=do if path.suffix in (".h5", ".hdf5") else "")
        return _described(ModelSource(name=model, kind="keras", path=path), path.parent)
    if not path.is_dir():
        known = [*backbones]
        if model in known:
            return ModelSource(name=model, kind="backbone", classes=imagenet_classes())
        or_name = " or a backbone's name" if known else ""
        alike = next((name for name in known if name.lower() == model.lower()), model)
        likely = nearest(alike, known) if known and "/" not in model else ""
        do = likely if likely.startswith("Did") else "There is nothing at that path."
        raise input_error(f"Expected MODEL to be {FORMS}{or_name}", model=model, do=do)
    if (path / "saved_model.pb").is_file():
        return _described(ModelSource(name=model, kind="saved_model", path=path), path.parent)
    is_run = (path / "config.yaml").is_file()
    require(is_run, f"Expected MODEL to be {FORMS}", model=model, do="This folder is neither.")
    file = path / "model.keras"
    do = "Finish it: the command that began it goes on with it."
    require(file.is_file(), "Expected a finished run, with its model.keras", run=model, do=do)
    return _described(ModelSource(name=model, kind="keras", path=file), path)


def _described(source: ModelSource, folder: Path) -> ModelSource:
    """`source` with what export.py has attached to it, or else with what the run in whose folder it lies says."""
    config, environment = folder / "config.yaml", folder / "environment.json"
    attached = read_metadata(source.path)
    if attached is not None:
        return _as_exported(source, attached)
    if not (config.is_file() and environment.is_file()):
        return source
    chosen = read_yaml(config)
    try:
        known: dict[str, Any] = json.loads(environment.read_text(encoding="utf-8"))
        own = str(chosen["model"])
        return dataclasses.replace(
            source,
            classes=tuple(map(str, known["classes"])),
            image_size=int(chosen["image_size"]),
            channels=int(chosen["channels"]),
            fit=chosen["fit"],
            stored_as=known.get("stored_as"),
            own=own if ".py:" in own else None,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        expected = f"Expected a run's config.yaml and environment.json in {folder}"
        raise input_error(expected, error=repr(error), do="Give the .keras file alone, in another folder.") from None


def _as_exported(source: ModelSource, known: Mapping[str, Any]) -> ModelSource:
    # The images' size and form are what a SavedModel sees to itself.
    images = {} if source.kind == "saved_model" else {name: known.get(name) for name in _OF_IMAGES}
    return dataclasses.replace(source, classes=tuple(map(str, known["classes"])), needs=known.get(NEEDS), **images)
