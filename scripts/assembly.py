"""What the commands share: it joins pipelines and models, which do not know each other."""

import contextlib
import dataclasses
import importlib.metadata
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from models.cnn import build_cnn
from models.cnn_options import CNNOptions
from models.heads import Head
from models.standardise import DEFAULT, Standardisation
from models.training.feed import Feed
from models.training.hardware import Hardware
from models.training.optimizers import build_optimizer
from models.training.options import OptimizerOptions
from models.training.trainer import compile_model
from pipelines import frames, reader
from pipelines.augment.augmentation import Augmentation, host_crop
from pipelines.augment.generator_options import GeneratorOptions
from pipelines.augment.policy import Policy
from pipelines.budget import Budget
from pipelines.input_options import InputSpec
from pipelines.manifest import Manifest
from pipelines.parts import Parts
from pipelines.reader_options import ReaderOptions
from pipelines.split_files import FILE_ERRORS
from pipelines.statistics import pixel_statistics, require_whitenable, zca_matrix
from pipelines.synthetic import constant_batches, synthetic_batch

SYNTHETIC = "synthetic: one batch of random pixels, again and again; the model learns nothing, and is not evaluated"
_NAMED_VERSIONS = ("tensorflow", "keras", "numpy", "millrace")


class Data:
    """A dataset folder read at one size, for one hardware; splits are opened when first asked for.

    Args:
        folder: The dataset.
        manifest: Its manifest.
        spec: The model's size, channels and fit.
        parts: How batches are cut.
        options: How they are read.
        policy: Of the augmentation of training batches.
        seed: Of the run.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        spec: InputSpec,
        parts: Parts,
        options: ReaderOptions,
        policy: Policy | None = None,
        seed: int = 0,
    ) -> None:
        self._folder, self._manifest, self._parts = folder, manifest, parts
        self._options, self._seed = options, seed
        self._budget = Budget(options.memory_budget)
        self._whole = frames.evaluation_frames(manifest, spec)
        training = frames.training_frames(manifest, spec, policy, host_crop(policy, seed))
        same = training.crop is None and training.size == self._whole.size
        self._training = self._whole if same else training
        self._opened: dict[tuple[str, frames.Frames], reader.Opened] = {}

    @property
    def cropped(self) -> bool:
        """Whether the random-resized-crop is cut out while decoding, so that the augmentation leaves it out."""
        return self._training.crop is not None

    @property
    def training_frames(self) -> frames.Frames:
        """What the training images become before they are augmented."""
        return self._training

    def training(self, split: str, start_step: int = 0) -> Feed:
        """The endless, shuffled feed of a split, from a step on."""
        opened = self._open(split, self._training, self._is_balanced)
        order = {"balanced": True} if self._is_balanced else {}
        dataset = opened.reader.training_batches(self._parts, seed=self._seed, start_step=start_step, **order)
        counts = opened.files.split.examples_per_class
        examples = len(counts) * max(counts) if self._is_balanced else sum(counts)
        return Feed(dataset=dataset, examples=examples, batch_size=self._parts.batch_size)

    def evaluation(self, split: str) -> Feed:
        """The feed of every example of a split, once."""
        opened = self._open(split, self._whole)
        dataset = opened.reader.evaluation_batches(self._parts)
        return Feed(dataset=dataset, examples=opened.reader.examples, batch_size=self._parts.batch_size)

    def passing(self, split: str) -> Feed:
        """What `evaluation` gives, of a split that is not held for that alone."""
        if self._whole in (self._training, *(how for name, how in self._opened if name == split)):
            return self.evaluation(split)
        passing = dataclasses.replace(self._options, cache="none", sampling="natural")
        opened = self._opened_anew(split, self._whole, passing)
        dataset = opened.reader.evaluation_batches(self._parts)
        return Feed(dataset=dataset, examples=opened.reader.examples, batch_size=self._parts.batch_size)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Where batches are used: an error that comes of a file becomes one that names shard and record."""
        try:
            yield
        except FILE_ERRORS:
            for (_, how), opened in self._opened.items():
                if opened.is_resident and how.crop is None:  # its files are done with
                    continue
                found = opened.files.culprit(how)
                if found is not None:
                    raise found from None
            raise

    def describe(self) -> dict[str, str]:
        """Title -> how the data is read, for the start of a run."""
        held: dict[str, list[str]] = {}
        for (split, _), opened in self._opened.items():
            held.setdefault(opened.text, []).append(split)
        lines = [f"{', '.join(dict.fromkeys(splits))}: {text}" for text, splits in held.items()]
        encoding = self._manifest.encoding
        decoding = "raw pixels" if encoding == "raw" else f"{'JPEG and PNG' if encoding == 'keep' else encoding} files"
        decoding += ", cropped while they are decoded" if self.cropped else ""
        sampling = self._options.sampling
        if self._is_balanced:
            counts = self._manifest.splits["train"].examples_per_class
            most, least = max(counts), min(counts)
            sampling += f": an example of the smallest class comes {most / least:.1f} times an epoch"
        return {"data": "; ".join(lines), "decoding": decoding, "sampling": sampling}

    def options(self, split: str) -> ReaderOptions:
        """The options of reading a split for training, every default resolved."""
        opened = self._opened[split, self._training]
        stages = opened.reader.stages
        streamed = not opened.is_resident
        return dataclasses.replace(
            self._options,
            cache="memory" if opened.is_resident else "none",
            memory_budget=self._options.memory_budget or self._budget.total,
            shuffle_window=self._options.shuffle_window or (opened.reader.window if streamed else None),
            decode_threads=self._options.decode_threads or stages.threads,
            prefetch=self._options.prefetch or max(1, stages.prefetch // self._parts.own),
        )

    @property
    def _is_balanced(self) -> bool:
        return self._options.sampling == "balanced"

    def _open(self, split: str, how: frames.Frames, balanced: bool = False) -> reader.Opened:
        if (split, how) not in self._opened:
            self._opened[split, how] = self._opened_anew(split, how, self._options, balanced)
        return self._opened[split, how]

    def _opened_anew(
        self, split: str, how: frames.Frames, options: ReaderOptions, balanced: bool = False
    ) -> reader.Opened:
        return reader.open_split(
            self._folder,
            self._manifest,
            split,
            frames=how,
            parts=self._parts,
            options=options,
            budget=self._budget,
            balanced=balanced,
        )


def synthetic_feed(
    manifest: Manifest, shape: tuple[int, int, int], parts: Parts, seed: int, augmentation: Augmentation | None = None
) -> Feed:
    """Constant batches in place of the training split.

    Args:
        manifest: Of the dataset.
        shape: (height, width, channels) of the images before they are augmented.
        parts: How batches are cut.
        seed: Of the run.
        augmentation: Of the input pipeline, done once.
    """
    examples, classes = manifest.splits["train"].examples, len(manifest.classes)
    batch = synthetic_batch(shape, examples=examples, classes=classes, batch_size=parts.batch_size, seed=seed)
    if augmentation is not None:
        batch = tf.function(augmentation, jit_compile=True, autograph=False)(batch)
    dataset = constant_batches(batch, replicas=parts.own)
    return Feed(dataset=dataset, examples=examples, batch_size=parts.batch_size)


def fitted_standardisation(options: GeneratorOptions, data: Data, spec: InputSpec) -> Standardisation:
    """What the model's first layers do; what must be fitted is fitted on the training split, unaugmented.

    As in Keras, means and deviations are those of the rescaled pixels, also where samples are centred beforehand.
    """
    if not options.standardises:
        return DEFAULT
    how = Standardisation(
        rescale=options.factor(),
        samplewise_center=options.centers_samples,
        samplewise_std=options.samplewise_std_normalization,
    )
    if not options.centers_features:
        return how
    if options.zca_whitening:
        require_whitenable(spec.shape)
    seen = pixel_statistics(data.passing("train").dataset.as_numpy_iterator(), whiten=options.zca_whitening)
    factor = options.factor() or 1.0
    return dataclasses.replace(
        how,
        mean=tuple((seen.mean * factor).tolist()),
        std=tuple((seen.std * factor).tolist()) if options.divides_features else None,
        zca=zca_matrix(seen, factor=factor, epsilon=options.zca_epsilon) if options.zca_whitening else None,
    )


def build_model(
    cnn: CNNOptions,
    optimizer: OptimizerOptions,
    head: Head,
    spec: InputSpec,
    hardware: Hardware,
    seed: int,
    standardisation: Standardisation = DEFAULT,
) -> keras.Model:
    """The compiled model, its weights drawn from `seed`, under the hardware's strategy."""
    keras.utils.set_random_seed(seed)
    with hardware.strategy.scope():
        model = build_cnn(cnn, spec.shape, head, standardisation)
        compile_model(model, head, build_optimizer(optimizer))
    return model


def build_augmentation(
    policy: Policy | None, spec: InputSpec, manifest: Manifest, hardware: Hardware, seed: int, *, cropped: bool
) -> Augmentation | None:
    """The augmentation of a run; None where there is no policy. `cropped`: as `Data` has it."""
    if policy is None:
        return None
    return Augmentation(
        policy,
        seed=seed,
        image_size=spec.shape[:2],
        classes=len(manifest.classes),
        # Pixels are whole numbers to 255, which bfloat16 holds exactly; float16's range is the model's own business.
        dtype=tf.bfloat16 if hardware.precision == "mixed_bfloat16" else tf.float32,
        cropped=cropped,
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
