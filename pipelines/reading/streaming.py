"""A split that is read from its shards in every epoch: records pass through a window, and are decoded afterwards.

An epoch is a stream of its own: the shards in an order drawn for it, `interleave` of them read side by side, and each
record drawn from a window of those that have been read. Where an epoch ends, the next one's begins, within a batch. All
of it is a function of (seed, epoch), so a run that starts at a later step passes whole epochs over, and the rest of its
first one record by record, undecoded.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from pipelines.images import windows
from pipelines.images.frames import Frames
from pipelines.reading import order
from pipelines.reading.parts import Parts
from pipelines.reading.split_files import SplitFiles
from pipelines.reading.stages import Stages

_BLOCK = 16  # records taken from a shard before the next one's turn: calls cost more than small records do
_DECODERS_A_READER = 4

Batch = dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Streamed:
    """Attributes:
    window: Records among which the next one is drawn.
    interleave: Shards that are read side by side.
    read_buffer: Bytes read ahead of each of them.
    """

    files: SplitFiles
    frames: Frames
    stages: Stages
    window: int
    interleave: int
    read_buffer: int

    @property
    def examples(self) -> int:
        """In the split."""
        return self.files.split.examples

    def training_batches(self, parts: Parts, *, seed: int, start_step: int = 0) -> tf.data.Dataset:
        """See `reader.Reader`."""
        first_epoch, skipped = divmod(start_step * parts.batch_size, self.examples)

        def epoch_from_start(epoch: tf.Tensor) -> tf.data.Dataset:
            passed_over = tf.where(tf.equal(epoch, first_epoch), tf.constant(skipped, tf.int64), 0)
            return self._epoch(epoch, seed).skip(passed_over)

        epochs = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
        records = epochs.flat_map(tf.autograph.experimental.do_not_convert(epoch_from_start))

        def batch(element: tf.Tensor, rows: tuple[tf.Tensor, tf.Tensor]) -> Batch:
            epoch = parts.positions(element) // self.examples
            return decoded(self.files, self.frames, *rows, epoch, tf.ones([parts.size]))

        return self._mapped(_own_parts(records, parts), batch, start_step * parts.own)

    def evaluation_batches(self, parts: Parts) -> tf.data.Dataset:
        """See `reader.Reader`."""
        padding = parts.steps(self.examples) * parts.batch_size - self.examples
        records = tf.data.Dataset.range(len(self.files.paths)).flat_map(self._shard)
        records = records.concatenate(self._shard(0).take(1).repeat(padding))

        def batch(element: tf.Tensor, rows: tuple[tf.Tensor, tf.Tensor]) -> Batch:
            _, weight = order.evaluation_order(parts.positions(element), self.examples)
            return decoded(self.files, self.frames, *rows, tf.zeros([parts.size], tf.int64), weight)

        return self._mapped(_own_parts(records, parts), batch, 0)

    def _epoch(self, epoch: tf.Tensor, seed: int) -> tf.data.Dataset:
        """The records of an epoch with their places in the split, shuffled."""
        shards = tf.data.Dataset.from_tensor_slices(order.shard_order(len(self.files.paths), epoch, seed))
        readers = self.stages.threads // _DECODERS_A_READER
        side_by_side = {"num_parallel_calls": readers, "deterministic": True} if readers > 1 else {}
        records = shards.interleave(self._shard, cycle_length=self.interleave, block_length=_BLOCK, **side_by_side)
        # The raw operation: `Dataset.shuffle` mixes the process's global seed in, and takes no tensor as its own.
        shuffled = tf.raw_ops.ShuffleDataset(
            input_dataset=tf.data.experimental.to_variant(records),
            buffer_size=self.window,
            seed=tf.constant(seed, tf.int64),
            seed2=epoch + 1,  # two zeros would mean any seed
            output_types=[tf.string, tf.int64],
            output_shapes=[[], []],
            reshuffle_each_iteration=False,
        )
        return tf.data.experimental.from_variant(shuffled, records.element_spec)

    def _shard(self, shard: tf.Tensor | int) -> tf.data.Dataset:
        """The records of a shard with their places in the split; one too few or too many is an error."""
        counts = np.array([shard.examples for shard in self.files.split.shards], np.int64)
        count, start = tf.constant(counts)[shard], tf.constant(np.cumsum(counts) - counts)[shard]
        records = tf.data.TFRecordDataset(tf.constant(self.files.paths)[shard], buffer_size=self.read_buffer)
        records = records.apply(tf.data.experimental.assert_cardinality(count))
        # The records first: they are asked for one more than there are places, and so counted.
        return tf.data.Dataset.zip((records, tf.data.Dataset.range(start, start + count)))

    def _mapped(self, rows: tf.data.Dataset, batch, first: int) -> tf.data.Dataset:
        return self.stages.finished(self.stages.mapped(rows.enumerate(first), batch))


def decoded(
    files: SplitFiles, frames: Frames, records: tf.Tensor, index: tf.Tensor, epoch: tf.Tensor, weight: tf.Tensor
) -> Batch:
    """The batch of some records, decoded.

    Args:
        files: Where they come from.
        frames: What their images become.
        records: string `[B]`.
        index: int64 `[B]`, places in the split.
        epoch: int64 `[B]`.
        weight: float32 `[B]`.
    """
    columns = files.parsed(records)
    images, orientation = columns["image"], columns["orientation"]
    if frames.crop is None:
        image = frames.whole(images, orientation)
    else:
        sizes = windows.image_sizes(images)
        image = frames.cropped(lambda place: images[place], sizes, orientation, epoch, index)
    return {
        "image": image,
        "label": tf.cast(columns["label"], tf.int32),
        "index": index,
        "epoch": epoch,
        "weight": weight,
    }


def _own_parts(records: tf.data.Dataset, parts: Parts) -> tf.data.Dataset:
    """This worker's parts, undecoded: `[size]` each."""
    if parts.workers == 1:
        return records.batch(parts.size, drop_remainder=True)
    rows = records.batch(parts.size * parts.own, drop_remainder=True).shard(parts.workers, parts.worker)
    return rows if parts.own == 1 else rows.rebatch(parts.size, drop_remainder=True)
