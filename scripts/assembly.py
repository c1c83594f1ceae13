"""What the commands share: it joins pipelines and models, which do not know each other."""

import dataclasses
import importlib.metadata
import platform
import sys
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from base.errors import require
from models.cnn import build_cnn
from models.cnn_options import CNNOptions
from models.heads import Head
from models.training.feed import Feed
from models.training.hardware import Hardware
from models.training.optimizers import build_optimizer
from models.training.options import OptimizerOptions, TrainingOptions
from models.training.trainer import compile_model
from pipelines import reader
from pipelines.augment.augmentation import Augmentation
from pipelines.augment.policy import Policy
from pipelines.input_options import InputSpec
from pipelines.manifest import Manifest
from pipelines.synthetic import constant_batches, synthetic_batch

SYNTHETIC = "synthetic: one batch of random pixels, again and again; the model learns nothing, and is not evaluated"
_NAMED_VERSIONS = ("tensorflow", "keras", "numpy", "millrace")


class Data:
    """A dataset folder read at one size, for one hardware; splits are loaded when first asked for."""

    def __init__(self, folder: Path, manifest: Manifest, spec: InputSpec, replicas: int, batch_size: int) -> None:
        require(
            batch_size >= replicas and batch_size % replicas == 0,
            f"Expected a --batch-size that is a multiple of the {replicas} replicas",
            batch_size=batch_size,
        )
        self._folder, self._manifest, self._spec = folder, manifest, spec
        self._replicas, self._batch_size = replicas, batch_size
        self._loaded: dict[str, reader.ResidentSplit] = {}

    def training(self, split: str, seed: int, start_step: int = 0) -> Feed:
        """The endless, shuffled feed of a split."""
        data = self._split(split)
        dataset = reader.training_batches(
            data, batch_size=self._batch_size, seed=seed, replicas=self._replicas, start_step=start_step
        )
        return Feed(dataset=dataset, examples=data.examples, batch_size=self._batch_size)

    def evaluation(self, split: str) -> Feed:
        """The feed of every example of a split, once."""
        data = self._split(split)
        dataset = reader.evaluation_batches(data, batch_size=self._batch_size, replicas=self._replicas)
        return Feed(dataset=dataset, examples=data.examples, batch_size=self._batch_size)

    def describe(self) -> str:
        """How the data is held."""
        held = sum(split.image.shape.num_elements() for split in self._loaded.values())
        return f"resident, uint8 {list(self._spec.shape)}, {held / 1e6:,.1f} MB in host memory"

    def _split(self, name: str) -> reader.ResidentSplit:
        if name not in self._loaded:
            self._loaded[name] = reader.load(self._folder, self._manifest, name, self._spec)
        return self._loaded[name]


def synthetic_feed(
    manifest: Manifest,
    spec: InputSpec,
    hardware: Hardware,
    training: TrainingOptions,
    augmentation: Augmentation | None = None,
) -> Feed:
    """Constant batches in place of the training split; `augmentation`: of the input pipeline, done once."""
    examples = manifest.splits["train"].examples
    batch = synthetic_batch(
        spec,
        examples=examples,
        classes=len(manifest.classes),
        batch_size=training.batch_size,
        seed=training.seed,
    )
    if augmentation is not None:
        batch = tf.function(augmentation, jit_compile=True, autograph=False)(batch)
    dataset = constant_batches(batch, replicas=hardware.replicas)
    return Feed(dataset=dataset, examples=examples, batch_size=training.batch_size)


def build_model(
    cnn: CNNOptions, optimizer: OptimizerOptions, head: Head, spec: InputSpec, hardware: Hardware, seed: int
) -> keras.Model:
    """The compiled model, its weights drawn from `seed`, under the hardware's strategy."""
    keras.utils.set_random_seed(seed)
    with hardware.strategy.scope():
        model = build_cnn(cnn, spec.shape, head)
        compile_model(model, head, build_optimizer(optimizer))
    return model


def build_augmentation(
    policy: Policy | None, spec: InputSpec, manifest: Manifest, hardware: Hardware, seed: int
) -> Augmentation | None:
    """The augmentation of a run; None where there is no policy."""
    if policy is None:
        return None
    return Augmentation(
        policy,
        seed=seed,
        image_size=spec.shape[:2],
        classes=len(manifest.classes),
        # Pixels are whole numbers to 255, which bfloat16 holds exactly; float16's range is the model's own business.
        dtype=tf.bfloat16 if hardware.precision == "mixed_bfloat16" else tf.float32,
    )


def augmented_on_host(feed: Feed, augmentation: Augmentation) -> Feed:
    """A feed whose batches are augmented in the input pipeline, compiled by XLA for the CPU."""
    compiled = tf.function(augmentation, jit_compile=True, autograph=False)
    dataset = feed.dataset.map(compiled, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return dataclasses.replace(feed, dataset=dataset.prefetch(tf.data.AUTOTUNE))


def describe_augmentation(augmentation: Augmentation | None, *, on_host: bool) -> str:
    """What is done, and where."""
    if augmentation is None:
        return "none"
    where = "in the input pipeline, on the host" if on_host else "in the step, on the device"
    return f"{augmentation.policy.describe()}; compiled by XLA, {where}"


def environment(manifest: Manifest, really_on: dict[str, str]) -> dict[str, Any]:
    """The content of `environment.json`."""
    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: importlib.metadata.version(name) for name in _NAMED_VERSIONS},
        "really_on": really_on,
        "data_fingerprint": manifest.fingerprint,
        "classes": list(manifest.classes),
    }
