"""How a global batch is cut into parts: one for each replica, and each worker makes its own."""

import dataclasses

import tensorflow as tf

from base.errors import require


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parts:
    """Element `step * own + r` of a worker's dataset is part `worker * own + r` of that step's global batch.

    Attributes:
        batch_size: Of one update, over all replicas of all workers.
        replicas: Of all workers together; a divisor of `batch_size`.
        workers: A divisor of `replicas`.
        worker: Which one this is, from 0.
    """

    batch_size: int
    replicas: int = 1
    workers: int = 1
    worker: int = 0

    def __post_init__(self) -> None:
        require(
            self.batch_size >= self.replicas and self.batch_size % self.replicas == 0,
            f"Expected a --batch-size that is a multiple of the {self.replicas} replicas",
            batch_size=self.batch_size,
        )
        require(
            self.replicas % self.workers == 0 and 0 <= self.worker < self.workers,
            f"Expected {self.replicas} replicas spread evenly over the workers, which count from 0",
            workers=self.workers,
            worker=self.worker,
        )

    @property
    def size(self) -> int:
        """Examples in a part."""
        return self.batch_size // self.replicas

    @property
    def own(self) -> int:
        """Parts of a step that this worker makes."""
        return self.replicas // self.workers

    def steps(self, examples: int) -> int:
        """Batches that hold so many examples, the last one padded."""
        return -(-examples // self.batch_size)

    def positions(self, element: tf.Tensor) -> tf.Tensor:
        """Where the examples of this worker's element stand in the stream: int64 `[size]`, consecutive."""
        part = element // self.own * self.replicas + self.worker * self.own + element % self.own
        return part * self.size + tf.range(self.size, dtype=tf.int64)
