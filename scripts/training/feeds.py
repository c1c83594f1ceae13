"""What the trainer is fed: the splits of a dataset folder, or constant batches; augmented on the host if asked for."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from models.training.feed import Feed
from pipelines.augment.augmentation import Augmentation, host_crop
from pipelines.augment.policy import Policy
from pipelines.images import frames
from pipelines.images.input_options import InputSpec
from pipelines.manifest import Manifest
from pipelines.reading import reader
from pipelines.reading.budget import Budget
from pipelines.reading.example_ids import ids_at
from pipelines.reading.options import ReaderOptions
from pipelines.reading.parts import Parts
from pipelines.reading.sample_weights import weighted
from pipelines.reading.split_files import FILE_ERRORS, SplitFiles
from pipelines.reading.synthetic import constant_batches, synthetic_batch
from pipelines.service.arrivals import Arrivals

Batch = dict[str, tf.Tensor]

SYNTHETIC = "synthetic: one batch of random pixels, again and again; the model learns nothing, and is not evaluated"


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
        sample_weights: float32 `[N]`, of the examples of the split that is trained on: its batches carry them as
            `sample_weight`.
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
        sample_weights: np.ndarray | None = None,
    ) -> None:
        self._folder, self._manifest, self._spec, self._parts = folder, manifest, spec, parts
        self._options, self._seed, self._sample_weights = options, seed, sample_weights
        self._budget = Budget(options.memory_budget)
        self._whole = frames.evaluation_frames(manifest, spec)
        training = frames.training_frames(manifest, spec, policy, host_crop(policy, seed))
        same = training.crop is None and training.size == self._whole.size
        self._training = self._whole if same else training
        self._opened: dict[tuple[str, frames.Frames], reader.Opened] = {}

    @property
    def budget(self) -> Budget:
        """What memory is left for more splits."""
        return self._budget

    @property
    def cropped(self) -> bool:
        """Whether the random-resized-crop is cut out while decoding, so that the augmentation leaves it out."""
        return self._training.crop is not None

    @property
    def training_frames(self) -> frames.Frames:
        """What the training images become before they are augmented."""
        return self._training

    @property
    def arrivals(self) -> Callable[[], Arrivals] | None:
        """What came so far of a training feed that is made elsewhere; None: it is made here, and nothing is lost."""
        return None

    def training(self, split: str, start_step: int = 0, augmentation: Augmentation | None = None) -> Feed:
        """The endless, shuffled feed of a split, from a step on.

        Args:
            split: Its name.
            start_step: The step of the first batch.
            augmentation: That is done in the input pipeline, on the host.
        """
        dataset = self._training_batches(split, self._parts, start_step)
        counts = self._manifest.splits[split].examples_per_class
        examples = len(counts) * max(counts) if self._is_balanced else sum(counts)
        feed = Feed(dataset=dataset, examples=examples, batch_size=self._parts.batch_size)
        return feed if augmentation is None else augmented_on_host(feed, augmentation)

    def batch_of_step(self, split: str, step: int) -> list[Batch]:
        """The training batch of one step: the parts of all replicas in turn, those of other workers too."""
        parts = dataclasses.replace(self._parts, workers=1, worker=0)
        return list(self._training_batches(split, parts, step).take(parts.replicas))

    def ids(self, split: str, index: Sequence[int]) -> list[str]:
        """The ids of the examples at these places of a split."""
        return ids_at(SplitFiles(folder=self._folder, manifest=self._manifest, name=split), index)

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
    def reading(self, *, training: bool = False) -> Iterator[None]:
        """Where batches are used: an error that comes of a file becomes one that names shard and record.

        Args:
            training: Whether the training feed is among them.
        """
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

    def _training_batches(self, split: str, parts: Parts, start_step: int) -> tf.data.Dataset:
        opened = self._open(split, self._training, self._is_balanced)
        order = {"balanced": True} if self._is_balanced else {}
        dataset = opened.reader.training_batches(parts, seed=self._seed, start_step=start_step, **order)
        return dataset if self._sample_weights is None else weighted(dataset, self._sample_weights)

    def _files(self, split: str) -> SplitFiles:
        """What a split is read from."""
        return SplitFiles(folder=self._folder, manifest=self._manifest, name=split)

    def _open(self, split: str, how: frames.Frames, balanced: bool = False) -> reader.Opened:
        if (split, how) not in self._opened:
            self._opened[split, how] = self._opened_anew(split, how, self._options, balanced)
        return self._opened[split, how]

    def _opened_anew(
        self, split: str, how: frames.Frames, options: ReaderOptions, balanced: bool = False
    ) -> reader.Opened:
        return reader.open_split(
            self._files(split),
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


def augmented_on_host(feed: Feed, augmentation: Augmentation) -> Feed:
    """A feed whose batches are augmented in the input pipeline, compiled by XLA for the CPU."""
    compiled = tf.function(augmentation, jit_compile=True, autograph=False)
    dataset = feed.dataset.map(compiled, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return dataclasses.replace(feed, dataset=dataset.prefetch(tf.data.AUTOTUNE))
