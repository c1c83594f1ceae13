"""The random numbers of a batch: each example has its own, by (seed, epoch, index) alone.

They are the same bits whatever the batch size, the replicas, the device or the reader: a batch only collects them.
"""

import dataclasses

import tensorflow as tf

from pipelines.augment.threefry import Words, threefry2x32


@dataclasses.dataclass(frozen=True)
class Draws:
    """A source of random numbers for each of B examples.

    Asking twice gives the same numbers: what needs others takes another `stream`.
    """

    keys: Words  # uint32 [B] each

    def stream(self, number: int) -> "Draws":
        """Independent draws of the same examples; `number` from 0 to 2**32 - 1, as a step's place in its policy."""
        counter = tf.constant(number, tf.uint32), tf.constant(1, tf.uint32)
        return Draws(threefry2x32(self.keys, counter))

    def bits(self, count: int) -> tf.Tensor:
        """uint32 `[B, count]`, each uniform over all words."""
        count_blocks = (count + 1) // 2
        blocks = tf.range(count_blocks)[tf.newaxis]
        keys = self.keys[0][:, tf.newaxis], self.keys[1][:, tf.newaxis]
        words = threefry2x32(keys, (tf.cast(blocks, tf.uint32), tf.constant(0, tf.uint32)))
        pairs = tf.stack([tf.broadcast_to(word, tf.shape(words[0])) for word in words], axis=-1)
        return tf.reshape(pairs, [-1, 2 * count_blocks])[:, :count]

    def uniform(self, count: int) -> tf.Tensor:
        """float32 `[B, count]`, multiples of 2**-24 from 0 to below 1."""
        return tf.cast(tf.bitwise.right_shift(self.bits(count), tf.constant(8, tf.uint32)), tf.float32) * 2.0**-24

    def between(self, *ranges: tuple[float, float]) -> list[tf.Tensor]:
        """A float32 `[B]` for each range (low, high), uniform from low to below high, up to rounding."""
        uniform = self.uniform(len(ranges))
        return [low + (high - low) * uniform[:, at] for at, (low, high) in enumerate(ranges)]

    def of_pairs(self) -> "Draws":
        """What examples 2i and 2i + 1 have in common: the draws of the first. B must be even."""
        first = (tf.repeat(word[::2], 2) for word in self.keys)
        return Draws(tuple(first))


def draws_of(seed: int, epoch: tf.Tensor, index: tf.Tensor) -> Draws:
    """The draws of a batch.

    Args:
        seed: Of the run, 0 to 2**31 - 1.
        epoch: integer `[B]`, 0 to 2**32 - 1.
        index: integer `[B]`, 0 to 2**32 - 1: the example's place in its split.
    """
    key = tf.constant(seed, tf.uint32), tf.constant(0, tf.uint32)
    return Draws(threefry2x32(key, (tf.cast(epoch, tf.uint32), tf.cast(index, tf.uint32))))
