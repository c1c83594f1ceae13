"""A few images of a split, drawn at random; the rest of it is neither decoded nor held."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from base.errors import require
from pipelines.images.frames import Frames, evaluation_frames
from pipelines.images.input_options import InputSpec
from pipelines.reading.budget import Budget
from pipelines.reading.order import training_order
from pipelines.reading.reader import read_error
from pipelines.reading.split_files import FILE_ERRORS, SplitFiles

_AT_ONCE = 32


def sample_of(files: SplitFiles, spec: InputSpec, count: int, option: str) -> np.ndarray:
    """Draws images: those that a training that holds the split begins with, with seed 0.

    Args:
        files: Of the split.
        spec: What the images become.
        count: How many; fewer where the split has fewer.
        option: The name of the option that says how many.

    Returns:
        uint8 `[N, H, W, C]`.

    Raises:
        InputError: More than memory has room for; a record that can't be used.
    """
    examples, how = files.split.examples, evaluation_frames(files.manifest, spec)
    count = min(count, examples)
    needed, room = count * how.bytes, Budget().total
    expected = f"Expected room in memory for {count:,} images of split {files.name!r}, {needed:,} bytes"
    require(needed <= room, expected, room=room, do=f"Lower --{option}.")
    places = training_order(tf.range(count, dtype=tf.int64), examples, seed=0)[0].numpy()
    rows = np.argsort(places)  # where the images go, in the order in which the split has them
    images = np.empty((count, *how.shape), np.uint8)
    try:
        for start, batch in zip(range(0, count, _AT_ONCE), _decoded(files, how, places), strict=True):
            images[rows[start : start + _AT_ONCE]] = batch
    except FILE_ERRORS as error:
        raise read_error(error, files, how) from None
    return images


def _decoded(files: SplitFiles, how: Frames, places: np.ndarray) -> Iterator[np.ndarray]:
    """The images at these places of the split, in its order: uint8 `[B, H, W, C]` each."""
    wanted = np.zeros(files.split.examples, bool)
    wanted[places] = True
    records = tf.data.TFRecordDataset(files.paths, buffer_size=8 << 20)
    # The records first: they are asked for one more than there are places, and so counted.
    records = records.apply(tf.data.experimental.assert_cardinality(files.split.examples))
    records = tf.data.Dataset.zip(records, tf.data.Dataset.from_tensor_slices(wanted))
    records = records.filter(lambda _, is_wanted: is_wanted).map(lambda record, _: record)

    def decoded(batch: tf.Tensor) -> tf.Tensor:
        columns = files.parsed(batch)
        return how.whole(columns["image"], columns["orientation"])

    return records.batch(_AT_ONCE).map(decoded, num_parallel_calls=tf.data.AUTOTUNE).as_numpy_iterator()
