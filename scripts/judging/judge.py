"""A run's model on a split: its images as they are, moved, or augmented as in training."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from base.errors import require
from models.training.hardware import Hardware
from models.training.loop import build_evaluation_loop
from models.training.step import build_evaluation_step
from pipelines.augment.augmentation import pixels
from pipelines.augment.draws import draws_of
from pipelines.augment.warp import warp
from pipelines.manifest import Manifest
from pipelines.reading.options import ReaderOptions
from pipelines.reading.parts import Parts
from scripts.judging.judged_run import JudgedRun
from scripts.training.feeds import Data

Batch = dict[str, tf.Tensor]
Results = dict[str, np.ndarray]

_ROUNDING = 1e-2  # of a sum of probabilities; bfloat16 has eight bits


class Judge:
    """Judges one run on one split.

    Args:
        run: Whose model.
        folder: Of the data set.
        manifest: Its manifest; its classes are the run's.
        split: The split's name.
        hardware: Prepared.
        batch_size: Images at a time, at least; None: as many as in training.
    """

    def __init__(
        self,
        run: JudgedRun,
        folder: Path,
        manifest: Manifest,
        split: str,
        hardware: Hardware,
        batch_size: int | None = None,
    ) -> None:
        self.run = run
        self._split, self._strategy = split, hardware.strategy
        wanted, replicas = batch_size or run.batch_size, hardware.replicas
        parts = Parts(batch_size=-(-wanted // replicas) * replicas, replicas=replicas)
        self._data = Data(folder, manifest, run.spec, parts, ReaderOptions())
        with self.reading():
            self._feed = self._data.evaluation(split)
        with self._strategy.scope():
            self.model = run.load_model()
        self._step = build_evaluation_step(self.model, run.head, self.model.trainable_variables)
        self._loops: dict[str, Callable[..., Results]] = {}

    def reading(self) -> contextlib.AbstractContextManager[None]:
        """Where the split is read: errors name shard and record."""
        return self._data.reading()

    def as_they_are(self) -> Results:
        """`loss` float32 `[N]`, `scores` float32 `[N, K]`, `label` int32 `[N]`, `index` int64 `[N]`, in order.

        Raises:
            InputError: Scores that are no numbers, or no probabilities where the run's head gives such.
        """
        return self._judged("as they are", lambda batch: batch)

    def moved(self, matrix: Callable[[Batch], tf.Tensor]) -> Results:
        """The same of images seen through matrices; beyond their edge they go on with its pixels.

        Args:
            matrix: From a batch to float32 `[B, 2, 3]`, see `pipelines.augment.warp`.
        """

        def apply(batch: Batch) -> Batch:
            return {**batch, "image": warp(batch["image"], batch["matrix"], self.run.spec.shape[:2])}

        return self._judged("moved", apply, lambda batch: {**batch, "matrix": matrix(batch)})

    def augmented(self, draw: int) -> Results:
        """The same of images augmented as the run's training images were, but for mixing; `draw`: which draw of each.

        A random crop is taken of images that have been brought to the model's size.
        """
        run = self.run

        def apply(batch: Batch) -> Batch:
            draws = draws_of(run.options["training"].seed, batch["epoch"], batch["index"])
            return {**batch, "image": pixels(run.policy, batch["image"], draws, run.spec.shape[:2])}

        return self._judged("augmented", apply, lambda batch: {**batch, "epoch": tf.zeros_like(batch["epoch"]) + draw})

    def images(self, index: np.ndarray) -> np.ndarray:
        """uint8 `[n, H, W, C]`: the examples at these places of the split, as the model sees them."""
        found: dict[int, np.ndarray] = {}
        wanted = set(index.tolist())
        with self.reading():
            for batch in self._feed.dataset.as_numpy_iterator():
                real = batch["weight"] > 0
                places = zip(batch["index"][real].tolist(), batch["image"][real], strict=True)
                found |= {place: image for place, image in places if place in wanted}
                if len(found) == len(wanted):
                    break
        return np.stack([found[place] for place in index.tolist()])

    def ids(self, index: np.ndarray) -> list[str]:
        """The ids of the examples at these places."""
        return self._data.ids(self._split, index)

    def _judged(
        self, name: str, apply: Callable[[Batch], Batch], prepare: Callable[[Batch], Batch] | None = None
    ) -> Results:
        """What the step gives for all batches after `prepare`, in the input pipeline, and `apply`, on the device."""
        if name not in self._loops:
            compiled = apply if prepare is None else tf.function(apply, jit_compile=True, autograph=False)
            self._loops[name] = build_evaluation_loop(self._strategy, lambda batch: self._step(compiled(batch)))
        dataset = self._feed.dataset if prepare is None else self._feed.dataset.map(prepare)
        with self.reading():
            iterator = iter(self._strategy.distribute_datasets_from_function(lambda _: dataset))
            results = self._loops[name](iterator, self._feed.steps)
        good = np.isfinite(results["scores"]).all(axis=1)
        require(
            bool(good.all()),
            f"Expected finite scores of {self.run.directory.model}",
            examples_without=int((~good).sum()),
            of=len(good),
        )
        if self.run.is_probable:
            sums = results["scores"].sum(axis=1)
            good = (results["scores"] >= 0).all(axis=1) & (abs(sums - 1) < _ROUNDING)
            require(
                bool(good.all()),
                f"Expected probabilities of {self.run.directory.model}, as --head {self.run.head.name} of the run says",
                examples_without=int((~good).sum()),
                of=len(good),
            )
        return results
