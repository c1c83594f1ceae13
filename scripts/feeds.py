"""What the trainer is fed: the splits of a dataset folder, or constant batches; augmented on the host if asked for."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import tensorflow as tf

from base.errors import input_error, require
from models.training.feed import Feed
from pipelines import frames, reader
from pipelines.arrivals import Arrivals
from pipelines.augment.augmentation import Augmentation, host_crop
from pipelines.augment.policy import Policy
from pipelines.budget import Budget
from pipelines.data_service import Served, Ticker, said_by_worker
from pipelines.dispatcher import require_workers
from pipelines.input_options import InputSpec
from pipelines.manifest import Manifest
from pipelines.parts import Parts
from pipelines.reader_options import ReaderOptions
from pipelines.split_files import FILE_ERRORS, SplitFiles
from pipelines.synthetic import constant_batches, synthetic_batch
from scripts.dispatcher_watch import watched

SYNTHETIC = "synthetic: one batch of random pixels, again and again; the model learns nothing, and is not evaluated"

_ELSEWHERE = (
    "batches come in no fixed order, and a worker that dies loses those it has; exact resume is off; "
    "files are read at the same path on every worker"
)
_SERVICE_SECONDS = 20.0  # within which a dispatcher has to answer at the start, and to have a worker
_PATIENCE = 60.0  # seconds that it may be silent afterwards


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
        service: grpc://host:port of the dispatcher whose workers make the training batches; None: they are made here.
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
        service: str | None = None,
    ) -> None:
        require(
            service is None or options.sampling == "natural",
            "Expected --sampling natural with --data-service, whose workers hold no split",
            sampling=options.sampling,
        )
        self._folder, self._manifest, self._parts = folder, manifest, parts
        self._options, self._seed = options, seed
        self._budget = Budget(options.memory_budget)
        self._whole = frames.evaluation_frames(manifest, spec)
        training = frames.training_frames(manifest, spec, policy, host_crop(policy, seed))
        same = training.crop is None and training.size == self._whole.size
        self._training = self._whole if same else training
        self._opened: dict[tuple[str, frames.Frames], reader.Opened] = {}
        self._service, self._workers = service, ()
        self._served: Served | None = None
        self._ticker: Ticker | None = None

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
        """What came so far of the training feed, where a data service makes it."""
        return None if self._ticker is None else self._ticker.arrivals

    def training(self, split: str, start_step: int = 0, augmentation: Augmentation | None = None) -> Feed:
        """The endless, shuffled feed of a split, from a step on.

        Args:
            split: Its name.
            start_step: The first step.
            augmentation: Of the input pipeline, if it is done there.

        Raises:
            InputError: The data service does not answer, or has no worker.
        """
        if self._service is not None:
            return self._training_elsewhere(split, start_step, augmentation)
        feed = self._training_here(split, start_step)
        return feed if augmentation is None else augmented_on_host(feed, augmentation)

    def _training_elsewhere(self, split: str, start_step: int, augmentation: Augmentation | None) -> Feed:
        files = SplitFiles(folder=self._folder.absolute(), manifest=self._manifest, name=split)
        threads = self._options.decode_threads
        self._served = Served(files=files, frames=self._training, address=self._service, threads=threads)
        self._workers = tuple(require_workers(self._service, _SERVICE_SECONDS))
        compiled = None if augmentation is None else tf.function(augmentation, jit_compile=True, autograph=False)
        dataset, self._ticker = self._served.training_batches(
            self._parts, seed=self._seed, start_step=start_step, augment=compiled
        )
        return Feed(dataset=dataset, examples=files.split.examples, batch_size=self._parts.batch_size)

    def _training_here(self, split: str, start_step: int) -> Feed:
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
    def reading(self, *, training: bool = False) -> Iterator[None]:
        """Where batches are used: an error that comes of a file becomes one that names shard and record.

        Args:
            training: Whether the training feed is among them: then a data service has to answer all the while.
        """
        try:
            with watched(self._service, _PATIENCE) if training and self._service else contextlib.nullcontext():
                yield
        except FILE_ERRORS as error:
            for (_, how), opened in self._opened.items():
                if opened.is_resident and how.crop is None:  # its files are done with
                    continue
                found = opened.files.culprit(how)
                if found is not None:
                    raise found from None
            if self._served is not None:
                raise self._error_elsewhere(error) from None
            raise

    def _error_elsewhere(self, error: Exception) -> Exception:
        missing = isinstance(error, tf.errors.NotFoundError | tf.errors.PermissionDeniedError)
        found = None if missing else self._served.files.culprit(self._training)
        return found or input_error(
            f"Expected the data service's workers to read {self._served.files.folder}, at the same path as here",
            **said_by_worker(error),
        )

    def describe(self) -> dict[str, str]:
        """Title -> how the data is read, for the start of a run."""
        held: dict[str, list[str]] = {}
        for (split, _), opened in self._opened.items():
            held.setdefault(opened.text, []).append(split)
        if self._served is not None:
            held[f"read by {len(self._workers)} workers of the data service"] = [self._served.files.name]
        lines = [f"{', '.join(dict.fromkeys(splits))}: {text}" for text, splits in held.items()]
        encoding = self._manifest.encoding
        decoding = "raw pixels" if encoding == "raw" else f"{'JPEG and PNG' if encoding == 'keep' else encoding} files"
        decoding += ", cropped while they are decoded" if self.cropped else ""
        sampling = self._options.sampling
        if self._is_balanced:
            counts = self._manifest.splits["train"].examples_per_class
            most, least = max(counts), min(counts)
            sampling += f": an example of the smallest class comes {most / least:.1f} times an epoch"
        really_on = {"data": "; ".join(lines), "decoding": decoding, "sampling": sampling}
        return really_on if self._service is None else {**really_on, "data service": f"{self._service}: {_ELSEWHERE}"}

    def options(self, split: str) -> ReaderOptions:
        """The options of reading a split for training, every default resolved."""
        if self._service is not None:
            return dataclasses.replace(self._options, memory_budget=self._options.memory_budget or self._budget.total)
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


def augmented_on_host(feed: Feed, augmentation: Augmentation) -> Feed:
    """A feed whose batches are augmented in the input pipeline, compiled by XLA for the CPU."""
    compiled = tf.function(augmentation, jit_compile=True, autograph=False)
    dataset = feed.dataset.map(compiled, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return dataclasses.replace(feed, dataset=dataset.prefetch(tf.data.AUTOTUNE))
