"""The threads and buffers of a tf.data pipeline. They decide how fast batches come, never which."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from pipelines.reading.options import ReaderOptions
from pipelines.reading.parts import Parts

_WAITING = 32 << 20  # bytes of batches that may wait when nothing is said: small batches need more of them
_MOST_WAITING = 16  # steps


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stages:
    """Attributes:
    threads: Parts that are decoded side by side.
    prefetch: Parts that wait ready.
    """

    threads: int
    prefetch: int

    def mapped(self, dataset: tf.data.Dataset, function: Callable) -> tf.data.Dataset:
        """`function` of each element, side by side."""
        # Nothing in it is to be converted, and looking through all of it takes half of the time that tracing takes.
        function = tf.autograph.experimental.do_not_convert(function)
        return dataset.map(function, num_parallel_calls=self.threads)

    def finished(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """The last stage: batches wait ready."""
        return self.with_options(dataset.prefetch(self.prefetch))

    def with_options(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Order and memory are ours to decide: no autotuning, which may take half of the machine's memory."""
        options = tf.data.Options()
        options.deterministic = True
        options.autotune.enabled = False
        # One thread an operation: the batches are made side by side already (measured: faster, a third of the spread).
        options.threading.max_intra_op_parallelism = 1
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
        return dataset.with_options(options)

    def bytes(self, part_bytes: int) -> int:
        """What the parts in flight take."""
        return (self.threads + self.prefetch) * part_bytes


def stages_for(options: ReaderOptions, parts: Parts, part_bytes: int, limit: int) -> Stages:
    """Threads and buffers, every default resolved.

    Args:
        options: As the user gave them.
        parts: How batches are cut.
        part_bytes: Of a part.
        limit: Bytes that the parts in flight may take; at least those of two parts are taken whatever it says.
    """
    steps = options.prefetch or max(2, min(_MOST_WAITING, _WAITING // (part_bytes * parts.own)))
    prefetch, threads = steps * parts.own, options.threads
    most = max(2, limit // part_bytes)
    prefetch = min(prefetch, max(1, most // 2))
    return Stages(threads=min(threads, most - prefetch), prefetch=prefetch)
