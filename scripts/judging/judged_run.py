"""A finished run, and its model, as the commands that judge it take it. Free of TensorFlow at import."""

import contextlib
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from base.errors import input_error, require
from base.options import parse
from models.heads import Head, head_for
from models.training.run_directory import RunDirectory
from pipelines.augment.generator_options import joined_policy
from pipelines.augment.policy import Policy
from pipelines.images.input_options import InputSpec
from scripts.training.options import recipe_groups

if TYPE_CHECKING:
    import keras


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoOptions:
    """Of the command that reads a run's config.yaml: that alone is asked for."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgedRun:
    """What a finished run says of its model.

    Attributes:
        directory: Its folder.
        classes: Their names, in the order of the scores.
        data: The data set that it was trained on, as it was named then.
        spec: Size, channels and fit of the model's images.
        stored_as: The form of the images that it was trained on, as the data set says it; None: the run does not say.
        options: Title -> instance, of `train.py`'s groups but for its own.
    """

    directory: RunDirectory
    classes: tuple[str, ...]
    data: str
    spec: InputSpec
    stored_as: dict[str, Any] | None
    options: dict[str, Any]

    @property
    def name(self) -> str:
        """Of the folder, without those above it."""
        return self.directory.path.resolve().name

    @property
    def head(self) -> Head:
        """Of the model."""
        return head_for(self.options["head"], len(self.classes))

    @property
    def is_probable(self) -> bool:
        """Whether scores are probabilities."""
        return self.head.is_probable

    @property
    def policy(self) -> Policy | None:
        """The augmentation that it was trained with."""
        return joined_policy(self.options["augmentation"], self.options["generator"])

    @property
    def batch_size(self) -> int:
        """That it was trained with."""
        return self.options["training"].batch_size

    def require_classes(self, classes: Sequence[str], source: str) -> None:
        """Refuses classes that are not the run's, in number, names and order; `source` is where they come from."""
        expected = f"Expected in {source} the {len(self.classes)} classes of {self.directory.path}"
        require(len(classes) == len(self.classes), expected, classes=len(classes))
        order = " in their order" if sorted(classes) == sorted(self.classes) else ""
        for place, (own, other) in enumerate(zip(self.classes, classes, strict=True)):
            require(own == other, f"{expected}{order}, class {place} being {own!r}", instead=other)

    def load_model(self) -> "keras.Model":
        """The trained model; call it under the strategy's scope.

        Raises:
            InputError: It can't be loaded, or does not give what the run's head does.
        """
        import keras

        path = self.directory.model
        own = self.own_classes()
        try:
            model = keras.models.load_model(path, custom_objects=own, compile=False)
        except Exception as error:  # whatever its layers raise
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise input_error(f"Expected a model that Keras can load at {path}", error=reason) from None
        self._require_outputs(model)
        return model

    def own_classes(self) -> dict[str, type]:
        """Name -> class, of those in the user's own file that built the model, where there is one."""
        which = self.options["model"]
        # The file may have gone since: Keras then says which class it lacks.
        if not (which.is_own and Path(which.model.rpartition(":")[0]).is_file()):
            return {}
        from models.own_model import own_classes

        return own_classes(which.model)

    def _require_outputs(self, model: "keras.Model") -> None:
        import numpy as np

        head, path = self.head, self.directory.model
        expected = f"Expected {path} to take images {[None, *self.spec.shape]}"
        try:
            outputs = model(np.zeros((1, *self.spec.shape), np.uint8), training=False)
        except Exception as error:  # whatever its layers raise
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise input_error(expected, error=reason) from None
        shape = list(getattr(outputs, "shape", ())) or type(outputs).__name__
        require(
            shape == [1, head.units],
            f"Expected {path} to give "
            + ("one sigmoid unit" if head.name == "sigmoid" else f"scores of the {head.classes} classes")
            + f", [B, {head.units}], as --head {head.name} of the run says",
            shape=shape,
        )


def open_run(path: Path) -> JudgedRun:
    """Reads a run's folder.

    Raises:
        InputError: It is none, or its training has not ended.
    """
    directory = RunDirectory(path)
    require(
        directory.config.is_file(),
        "Expected a run's folder, with config.yaml: what train.py --run names",
        run=str(path),
    )
    require(
        directory.model.is_file(),
        "Expected a finished run, with model.keras",
        run=str(path),
        do="The command that trained it goes on with it.",
    )
    options = parse("config.yaml", "", recipe_groups(NoOptions), ["--config", str(directory.config)])
    known, classes = {}, None
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(directory.environment.read_text(encoding="utf-8"))
        classes = tuple(known["classes"])
    require(classes is not None, "Expected the run's classes in its environment.json", run=str(path))
    size, channels = options["input"].image_size, options["input"].channels
    require(size is not None and channels is not None, f"Expected image_size and channels in {directory.config}")
    return JudgedRun(
        directory=directory,
        classes=classes,
        data=str(options["of the run"].data),
        spec=InputSpec(image_size=size, channels=channels, fit=options["input"].fit),
        stored_as=known.get("stored_as"),
        options=options,
    )
