"""The ids of a split's examples, read without looking at the images.

An example's `index` is its place in the split; its id says where it came from: the file's path in the source, or the
place in the source's array.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from base.errors import input_error
from pipelines.native_errors import reason_of
from pipelines.reading.split_files import FILE_ERRORS, SplitFiles
from pipelines.records import FEATURES

_PARSED_AT_ONCE = 256


def read_ids(files: SplitFiles) -> list[str]:
    """The id of every example of a split, in the split's order.

    Raises:
        InputError: A shard that can't be read.
    """
    return [name for path in files.paths for name in _ids_of_shard(path, files.name)]


def ids_at(files: SplitFiles, index: Sequence[int]) -> list[str]:
    """The ids of the examples at the places `index`, in their order; only the shards that hold them are read, so far.

    Raises:
        InputError: A shard that can't be read.
    """
    index = np.asarray(index, np.int64)
    ends = np.cumsum([shard.examples for shard in files.split.shards])
    shards = np.searchsorted(ends, index, side="right")
    places = index - np.concatenate([[0], ends])[shards]
    names = {
        shard: _ids_of_shard(files.paths[shard], files.name, places[shards == shard].max() + 1)
        for shard in np.unique(shards)
    }
    return [names[shard][place] for shard, place in zip(shards, places, strict=True)]


def _ids_of_shard(path: str, split: str, count: int = -1) -> list[str]:
    """Those of the first `count` records; -1: of all."""
    dataset = tf.data.TFRecordDataset(path, buffer_size=8 << 20).take(count).batch(_PARSED_AT_ONCE).map(_ids)
    try:
        return [name.decode() for batch in dataset.as_numpy_iterator() for name in batch]
    except FILE_ERRORS as error:
        raise input_error(f"Expected readable records in split {split!r}", shard=path, error=reason_of(error)) from None


def _ids(records: tf.Tensor) -> tf.Tensor:
    return tf.io.parse_example(records, {"id": FEATURES["id"]})["id"]
