"""Stored features: what one record of them holds, and the files of a split of them.

    features  bytes   the vector as the backbone gave it, `[F]`, its floats little-endian
    label     int64   place of the class in the data set's `classes`
    index     int64   the example's place in the split

The readers of images read them, too: a `Vectors` stands where they have `Frames`.
"""

import dataclasses
from typing import ClassVar

import numpy as np
import tensorflow as tf

from base.errors import InputError, input_error
from pipelines.images import exif
from pipelines.images.frames import Frames
from pipelines.native_errors import reason_of
from pipelines.reading.split_files import SplitFiles

_SCHEMA = {
    "features": tf.io.FixedLenFeature([], tf.string),
    "label": tf.io.FixedLenFeature([], tf.int64),
    "index": tf.io.FixedLenFeature([], tf.int64),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vectors:
    """What the records of stored features become: vectors of one length and type; see `Frames`.

    The type is that of the backbone's output: nothing is lost, and nothing takes more room than it must. float32, or
    with mixed precision float16 or bfloat16.
    """

    length: int
    dtype: tf.DType
    crop: ClassVar[None] = None  # nothing is drawn while they are read

    @property
    def shape(self) -> tuple[int]:
        """(length,)."""
        return (self.length,)

    @property
    def bytes(self) -> int:
        """Of a vector."""
        return self.length * self.dtype.size

    def describe(self) -> str:
        """See `Frames`."""
        return f"{self.length} {self.dtype.name}"

    def whole(self, features: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
        """Vectors `[B, length]`, from string `[B]`; bytes of another number are an error."""
        vectors = tf.io.decode_raw(features, self.dtype)
        return tf.ensure_shape(vectors, (None, self.length))


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeatureFiles(SplitFiles):
    """The shards of a split of stored features. `manifest` is the data set's, but for the split's shards."""

    remedy: ClassVar[str] = "The same command computes them anew."

    def parsed(self, batch: tf.Tensor) -> dict[str, tf.Tensor]:
        """Records as columns: `image` string `[B]`, here the vectors' bytes; `label` and `orientation` int64 `[B]`."""
        columns = tf.io.parse_example(batch, _SCHEMA)
        return {
            "image": columns["features"],
            "label": columns["label"],
            "orientation": tf.fill(tf.shape(columns["label"]), tf.constant(exif.UPRIGHT, tf.int64)),
        }

    def culprit(self, frames: Frames | Vectors) -> InputError | None:
        """What is wrong with the first record that can't be used, shard and place; None where every one can."""
        with tf.device("/CPU:0"):
            for shard, path in zip(self.split.shards, self.paths, strict=True):
                read, reason = 0, None
                try:
                    for record in tf.data.TFRecordDataset(path):
                        columns = self.parsed(record[tf.newaxis])
                        frames.whole(columns["image"], columns["orientation"])
                        read += 1
                except (tf.errors.OpError, ValueError) as error:
                    reason = reason_of(error)
                if reason or read != shard.examples:
                    expected = f"Expected {shard.examples} records of features in the shard"
                    why = {"error": reason} if reason else {"records": read}
                    return input_error(expected, shard=path, record=read, **why, do=self.remedy)
        return None


def serialize(features: np.ndarray, label: int, index: int) -> bytes:
    """One record, a `tf.train.Example`.

    Args:
        features: float `[F]`.
        label: Place of the class.
        index: Place in the split.
    """
    feature = {
        "features": tf.train.Feature(bytes_list=tf.train.BytesList(value=[features.tobytes()])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
        "index": tf.train.Feature(int64_list=tf.train.Int64List(value=[index])),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString(deterministic=True)
