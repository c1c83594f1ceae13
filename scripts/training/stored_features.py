"""The features of a frozen backbone, computed once and stored: a head is trained on them as a model is on images."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.backbones.build import backbone_of
from models.fingerprint import layers_fingerprint, weights_fingerprint
from models.training.hardware import Hardware
from pipelines.conversion.report import progress_bar
from pipelines.features.files import Vectors
from pipelines.features.store import FeatureStore
from pipelines.features.writer import Rows
from pipelines.reading.budget import Budget
from pipelines.reading.parts import Parts
from pipelines.reading.split_files import SplitFiles
from scripts.training.assembly import Setting
from scripts.training.feeds import Data

_COLUMNS = ("label", "index", "weight")  # of a batch, that are stored beside the features or needed on the way


def stored_features(
    setting: Setting,
    model: keras.Model,
    *,
    sample_weights: np.ndarray | None = None,
    budget: Budget | None = None,
    say: Callable[[str], None] = print,
) -> "StoredFeatures":
    """The data of a training whose backbone is frozen, see `StoredFeatures`; `head_of(model)` is trained on it."""
    return StoredFeatures(
        model,
        setting.hardware,
        Path(setting.options["run"].data),
        setting.manifest,
        setting.spec,
        setting.parts,
        setting.options["reading"],
        seed=setting.seed,
        sample_weights=sample_weights,
        budget=budget,
        say=say,
    )


class StoredFeatures(Data):
    """A dataset folder as `Data` has it, with stored features in place of images: `image` is float `[B, F]`.

    Order, sampling, weights and ids are those of the images: where both are held in memory, or both streamed through
    the same window, a step has the same examples. What is not stored yet is computed when a split is first asked for.
    Each process sees to its own: workers that share the folder wait for the one that computes, others compute, too.

    Args:
        model: Of `models.backbones.build`; what its backbone gives now is what is stored, in inference mode.
        hardware: What the model was made under.
        arguments, named: As `Data` takes them.
        budget: What memory is left, where other splits are held, too; by default what the options say.
        say: Told what is computed.

    Raises:
        InputError: A model of other parts than a backbone and a head.
    """

    def __init__(
        self,
        model: keras.Model,
        hardware: Hardware,
        *arguments: Any,
        budget: Budget | None = None,
        say: Callable[[str], None] = print,
        **named: Any,
    ) -> None:
        super().__init__(*arguments, **named)
        self._budget = budget or self._budget
        self._hardware, self._say, self._name = hardware, say, model.name
        self._backbone = backbone_of(model)
        self._weights = weights_fingerprint(self._backbone)
        output = self._backbone.output
        self._training = self._whole = Vectors(length=output.shape[-1], dtype=tf.as_dtype(output.dtype))
        self.store = FeatureStore(
            data=self._folder, manifest=self._manifest, vectors=self._whole, made_of=self._made_of()
        )
        self._compiled = tf.function(self._forward, jit_compile=hardware.xla, autograph=False)

    def describe(self) -> dict[str, str]:
        """Title -> how the data is read, for the start of a run."""
        stored = f"none: features of {self._name}, computed once, from {self.store.folder}"
        return {**super().describe(), "decoding": stored}

    def _made_of(self) -> dict[str, Any]:
        return {
            **dataclasses.asdict(self._spec),
            "model": self._name,
            "head_pool": type(self._backbone.layers[-1]).__name__,
            "layers": layers_fingerprint(self._backbone),
            "weights": self._weights,
            "precision": self._hardware.precision,
            "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
        }

    def _files(self, split: str) -> SplitFiles:
        return self.store.files(split, lambda: self._computed(split), self._say)

    def _computed(self, split: str) -> Iterator[Rows]:
        """The features of a split, in its order."""
        if weights_fingerprint(self._backbone) != self._weights:
            raise RuntimeError(f"the backbone was trained before the features of split {split!r} were computed")
        images = self._manifest.splits[split].examples
        self._say(f"computing features of split {split!r}, once: {images:,} images through {self._name}")
        started = time.monotonic()
        with progress_bar(images, shown=True, verb="computing features") as progress:
            for rows in self._passed_through(split):
                progress(len(rows.index), rows.features.nbytes)
                yield rows
        seconds = time.monotonic() - started
        self._say(f"computed in {seconds:.1f} s, {images / seconds:,.0f} images/s; kept in {self.store.folder}")

    def _passed_through(self, split: str) -> Iterator[Rows]:
        """Batch after batch, a part of it on each of this worker's devices; without communication."""
        devices = [f"/{device}" for device in self._hardware.devices]
        parts = Parts(batch_size=self._parts.size * len(devices), replicas=len(devices))
        options = dataclasses.replace(self._options, cache="none", sampling="natural")
        data = Data(self._folder, self._manifest, self._spec, parts, options)
        copies = [self._weights_on(device) for device in devices]
        with data.reading():
            batches = iter(data.evaluation(split).dataset)
            for together in zip(*[batches] * len(devices), strict=True):
                features = []
                for device, weights, batch in zip(devices, copies, together, strict=True):
                    with tf.device(device):
                        features.append(self._compiled(*weights, batch["image"]))
                columns = {name: np.concatenate([batch[name] for batch in together]) for name in _COLUMNS}
                real = columns["weight"] > 0
                values = np.concatenate([value.numpy() for value in features])
                yield Rows(values[real], columns["label"][real], columns["index"][real])

    def _forward(self, trainable: list[tf.Tensor], others: list[tf.Tensor], image: tf.Tensor) -> tf.Tensor:
        features, _ = self._backbone.stateless_call(trainable, others, image, training=False)
        return features

    def _weights_on(self, device: str) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        with tf.device(device):
            kinds = (self._backbone.trainable_variables, self._backbone.non_trainable_variables)
            return tuple([tf.constant(keras.ops.convert_to_numpy(v)) for v in variables] for variables in kinds)
