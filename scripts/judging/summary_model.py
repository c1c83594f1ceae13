"""The model that summary.py looks at: a trained one as it was saved, or a new one, built as train.py would."""

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Any

import keras

from base.errors import input_error, require
from models.backbones.build import build_backbone_model
from models.backbones.freezing import unfreeze
from models.backbones.options import BackboneOptions
from models.backbones.table import BACKBONES
from models.cnn import build_cnn
from models.heads import head_for
from models.model_options import ModelOptions
from models.own_model import build_own_model, own_classes
from models.training.optimizers import build_optimizer
from models.training.run_directory import RunDirectory
from pipelines.images.input_options import DEFAULT_IMAGE_SIZE, Fit, InputOptions, InputSpec, resolve
from pipelines.manifest import read_manifest

_CLASSES = 10  # of a new model, when nothing is said
_SMALL_IMAGES = 32  # residual networks for small images, in their papers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """A model, and what belongs to it."""

    model: keras.Model
    image_shape: tuple[int, int, int]
    optimizer: keras.optimizers.Optimizer
    batch_size: int
    fit: Fit
    origin: str  # in a line

    @property
    def spec(self) -> InputSpec:
        """How an image becomes one that the model takes.

        Raises:
            InputError: The model takes no square images.
        """
        height, width, channels = self.image_shape
        require(height == width, "Expected a model of square images", image_shape=list(self.image_shape))
        return InputSpec(image_size=height, channels=channels, fit=self.fit)


def subject_of(options: dict[str, Any], given: Collection[str]) -> Subject:
    """Loads or builds the model that is asked for.

    Args:
        options: Title -> instance, as summary.py's groups have them.
        given: Names of the options that the user gave.

    Raises:
        InputError: No such model; one that can't be loaded, or built.
    """
    asked = options["summary"]
    return _trained(Path(asked.model), options, given) if asked.is_trained else _new(options)


def _trained(where: Path, options: dict[str, Any], given: Collection[str]) -> Subject:
    chosen: dict[str, Any] = {}
    file = where
    if where.is_dir():
        run = RunDirectory(where)
        require(run.config.is_file(), "Expected a run's folder, with its config.yaml", model=str(where))
        require(run.model.is_file(), "Expected a finished run, with its model.keras", model=str(where))
        chosen, file = run.chosen(), run.model
    require(file.is_file(), "Expected a .keras file that is there", model=str(where))
    model = _loaded(file, chosen.get("model", ""))
    asked = {name: getattr(options["input"], name) for name in ("image_size", "channels")}
    size, channels = (asked[name] or chosen.get(name) for name in asked)
    shape = getattr(model, "input_shape", None) or (None, size, size, channels)  # subclassed ones have none
    require(len(shape) == 4, f"Expected {file} to take images [B, height, width, channels]", input_shape=list(shape))
    shape = tuple(side or open_ for side, open_ in zip(shape[1:], (size, size, channels), strict=True))
    require(
        None not in shape,
        f"Expected --image-size and --channels with {file}: the model leaves them open",
        input_shape=list(shape),
    )
    training, given_fit = options["training"], options["input"].fit if "fit" in given else None
    return Subject(
        model=model,
        image_shape=shape,
        optimizer=getattr(model, "optimizer", None) or build_optimizer(options["optimizer"]),
        batch_size=training.batch_size if "batch_size" in given else chosen.get("batch_size", training.batch_size),
        fit=given_fit or chosen.get("fit", options["input"].fit),
        origin=str(file),
    )


def _loaded(file: Path, which: str) -> keras.Model:
    file_of_own, _, _ = which.rpartition(":")
    classes = own_classes(which) if Path(file_of_own).is_file() else {}
    try:
        return keras.models.load_model(file, custom_objects=classes)
    except Exception as error:  # of zip, JSON, HDF5, or of the user's own classes
        reason = next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__)
        raise input_error(f"Expected a model that Keras can load in {file}", error=reason[:300]) from error


def _new(options: dict[str, Any]) -> Subject:
    """As train.py would build it, in front of any training."""
    asked, hardware = options["summary"], options["hardware"]
    which = ModelOptions(model=asked.model)
    count, spec = _classes_and_spec(asked, options["input"], _usual_size(which))
    head = head_for(options["head"], count)
    keras.config.set_dtype_policy("float32" if hardware.precision == "auto" else hardware.precision)
    if which.is_own:
        model = build_own_model(which.model, spec.shape, head)
    elif which.is_backbone:
        backbone = _needed(options["backbone"], drawn=asked.activations is not None)
        model = build_backbone_model(which.model, backbone, spec.shape, head)
        trained = options["fine-tuning"]
        last = trained.phases(trained.epochs or options["training"].epochs)[-1]
        unfreeze(model, last.unfreeze, batch_norm=not trained.freeze_batch_norm)
    else:
        model = build_cnn(options["cnn"], spec.shape, head)
    batch_size = options["training"].batch_size
    return Subject(
        model=model,
        image_shape=spec.shape,
        optimizer=build_optimizer(options["optimizer"], batch_size),
        batch_size=batch_size,
        fit=spec.fit,
        origin=f"{which.model}, new, {count} classes",
    )


def _needed(options: BackboneOptions, *, drawn: bool) -> BackboneOptions:
    """Counting takes no weights: none are fetched unless they are asked for, or their feature maps are to be drawn."""
    return options if drawn or options.weights != "auto" else dataclasses.replace(options, weights="none")


def _usual_size(which: ModelOptions) -> int:
    """Height and width that papers count the model at, where no data set says another."""
    if not which.is_backbone:
        return DEFAULT_IMAGE_SIZE
    return BACKBONES[which.model].size if which.model in BACKBONES else _SMALL_IMAGES


def _classes_and_spec(asked: Any, options: InputOptions, usual: int) -> tuple[int, InputSpec]:
    if asked.data is None:
        size = options.image_size or usual
        return asked.classes or _CLASSES, resolve(options, (size, size), channels=3)
    if asked.classes is not None:
        raise input_error("Expected --data or --classes, not both", data=asked.data, classes=asked.classes)
    manifest = read_manifest(Path(asked.data))
    return len(manifest.classes), resolve(options, manifest.image_shape, manifest.channels)
