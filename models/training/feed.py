"""What the trainer takes of a data set: batches, and how many make an epoch."""

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True, kw_only=True)
class Feed:
    """Batches of one split.

    Attributes:
        dataset: Elements are the parts of the global batches, one for each replica in turn; endless for training, every
            example once for evaluation.
        examples: In the split.
        batch_size: Of the global batch.
    """

    dataset: tf.data.Dataset
    examples: int
    batch_size: int

    def first_step(self, parts: int) -> "Feed":
        """Only the first global batch, of so many parts on this worker."""
        return dataclasses.replace(self, dataset=self.dataset.take(parts), examples=min(self.examples, self.batch_size))

    @property
    def steps(self) -> int:
        """Batches that hold every example once."""
        return -(-self.examples // self.batch_size)

    def steps_until(self, epoch: int) -> int:
        """Steps from the run's start to the end of `epoch` (0-based), whose last step reaches its last example."""
        return -(-(epoch + 1) * self.examples // self.batch_size)
