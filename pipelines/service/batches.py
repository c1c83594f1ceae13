"""Training batches that are made on other machines, by the workers of tf.data service.

A batch is the same function of (seed, step) as that of a split held in memory: the workers take one step's number after
the other from the dispatcher, look up which examples it has, read these from the shards, each at its place, and decode
them. So each example comes once an epoch as long as no worker dies, whoever makes its batch; only the order of the
steps is not fixed. A worker that dies takes the steps that it was at with it. All parts of a step that a training
process needs travel together, so that what is lost shifts nothing.
"""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from base.errors import require
from pipelines.images.frames import Frames
from pipelines.native_errors import reason_of
from pipelines.reading import order, streaming
from pipelines.reading.parts import Parts
from pipelines.reading.split_files import SplitFiles
from pipelines.service.arrivals import Arrivals
from pipelines.sources.tfrecord import list_records

_RECORD_HEAD = 12  # bytes: length and its checksum
_SMALLEST_READ, _LARGEST_READ = 4 << 10, 1 << 20  # bytes
_WAITING = 2  # steps, at each worker and here

Batch = dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Served:
    """A split that others read.

    Attributes:
        files: Of the split; its shards lie at the same paths on the workers.
        frames: What its images become.
        address: grpc://host:port of the dispatcher.
        threads: Batches that a worker decodes side by side; None: as many as serve it best.
    """

    files: SplitFiles
    frames: Frames
    address: str
    threads: int | None = None

    def training_batches(
        self, parts: Parts, *, seed: int, start_step: int = 0, augment: Callable[[Batch], Batch] | None = None
    ) -> tuple[tf.data.Dataset, "Ticker"]:
        """The endless stream of this training process's parts, those of one step after each other.

        Args:
            parts: How batches are cut.
            seed: Of the run.
            start_step: The first step.
            augment: Of batches, on the workers.

        Returns:
            Batches as `reader` has them, and with them `step`, int64 `[B]`, the same for all; and what tells which of
            them came.
        """
        ticker = Ticker(start_step)
        with tf.device("/CPU:0"):  # of this machine; the workers may have no other
            made = self._made(parts, seed, start_step, augment)
        dataset = made.apply(
            # Pixels hardly shrink, and their compression costs both sides.
            tf.data.experimental.service.distribute(
                tf.data.experimental.service.ShardingPolicy.DYNAMIC, self.address, compression=None
            )
        )
        dataset = dataset.map(ticker.noted)
        if parts.own > 1:
            dataset = dataset.rebatch(parts.size, drop_remainder=True)
        return dataset.prefetch(_WAITING * parts.own), ticker

    def _made(
        self, parts: Parts, seed: int, start_step: int, augment: Callable[[Batch], Batch] | None
    ) -> tf.data.Dataset:
        """What the workers do: an element is all of this process's parts of a step."""
        whole = dataclasses.replace(parts, replicas=parts.workers)  # one part, this process's
        read = _reader(self.files)

        def batch(step: tf.Tensor) -> Batch:
            index, epoch = order.training_order(whole.positions(step), self.files.split.examples, seed)
            made = streaming.decoded(self.files, self.frames, read(index), index, epoch, tf.ones([whole.size]))
            return {**(augment(made) if augment else made), "step": tf.fill([whole.size], step)}

        dataset = tf.data.Dataset.range(start_step, np.iinfo(np.int64).max)
        dataset = dataset.map(
            tf.autograph.experimental.do_not_convert(batch), num_parallel_calls=self.threads or tf.data.AUTOTUNE
        )
        options = tf.data.Options()
        options.deterministic = False
        # One thread an operation: the batches are made side by side already.
        options.threading.max_intra_op_parallelism = 1
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
        return dataset.prefetch(_WAITING).with_options(options)


class Ticker:
    """Notes, as batches arrive, which step each is of; within the graph, where no Python has to be waited for.

    Args:
        start_step: The first step.
    """

    def __init__(self, start_step: int) -> None:
        self._arrivals = Arrivals(start_step)
        with tf.device("/CPU:0"):
            self._came = tf.queue.FIFOQueue(-1, [tf.int64], [[]])

    def noted(self, batch: Batch) -> Batch:
        """A batch, noted."""
        with tf.control_dependencies([self._came.enqueue(batch["step"][0])]):
            return {name: tf.identity(value) for name, value in batch.items()}

    def arrivals(self) -> Arrivals:
        """What came so far."""
        with tf.device("/CPU:0"):
            self._arrivals.add(self._came.dequeue_many(self._came.size()).numpy().tolist())
        return self._arrivals


def said_by_worker(error: Exception) -> dict[str, str]:
    """What went wrong on a worker, as an error message has it: `worker`, host:port, where it is said, and `error`."""
    text = reason_of(error, 2000)
    worker = re.search(r"from worker (\S+):", text)
    reason = re.split(r"Iterator::\S+: ", text)[-1][:300]
    return {"worker": worker[1], "error": reason} if worker else {"error": reason}


def _reader(files: SplitFiles) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function from int64 `[B]`, places in a split, to string `[B]`, their records: each is read where it lies.

    (A record of 20 KB takes 0.1 ms from the page cache, opening its file included.)
    """
    offsets = tf.constant(record_offsets(files))
    ends = tf.constant(np.cumsum([shard.examples for shard in files.split.shards]), tf.int64)
    paths = tf.constant(files.paths)
    buffer = max(_SMALLEST_READ, min(_LARGEST_READ, files.record_bytes))

    def record(place: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        shard, offset = place
        # The raw operation: `TFRecordDataset` does not hand the offset through.
        found = tf.raw_ops.TFRecordDatasetV2(
            filenames=paths[shard],
            compression_type="",
            buffer_size=tf.constant(buffer, tf.int64),
            byte_offsets=offset,
        )
        found = tf.data.experimental.from_variant(found, tf.TensorSpec([], tf.string))
        return tf.data.Dataset.get_single_element(found.take(1))

    def read(index: tf.Tensor) -> tf.Tensor:
        places = tf.searchsorted(ends, index, side="right"), tf.gather(offsets, index)
        return tf.map_fn(record, places, fn_output_signature=tf.TensorSpec([], tf.string), parallel_iterations=1)

    return read


def record_offsets(files: SplitFiles) -> np.ndarray:
    """Where each example's record begins in its shard: int64 `[N]`, bytes. Takes 6 us a record.

    Raises:
        InputError: A shard that does not hold as many records as the manifest says.
    """
    offsets: list[int] = []
    for shard, path in zip(files.split.shards, files.paths, strict=True):
        found = [start - _RECORD_HEAD for start, data in list_records(Path(path)) if data is not None]
        require(
            len(found) == shard.examples,
            f"Expected {shard.examples} records in the shard {path}, as the manifest says",
            records=len(found),
            do="Convert the source again with --overwrite.",
        )
        offsets += found
    return np.array(offsets, np.int64)
