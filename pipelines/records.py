"""The Example schema, both ways: what one record of a Millrace shard holds.

    image        bytes   one encoded JPEG or PNG; in a `raw` dataset uint8 pixels `[H, W, C]`, row by row
    label        int64   place of the class in the manifest's `classes`
    id           bytes   UTF-8; the file's path relative to the source, or the place in the source's array
    orientation  int64   EXIF's, 1 to 8: how `image` must be turned when it is decoded; only in a `keep` dataset

TFDS reads the same records (`tfds.builder_from_directory`), but does not turn the images.
"""

import tensorflow as tf

from pipelines import exif

FEATURES = {
    "image": tf.io.FixedLenFeature([], tf.string),
    "label": tf.io.FixedLenFeature([], tf.int64),
    "id": tf.io.FixedLenFeature([], tf.string),
    "orientation": tf.io.FixedLenFeature([], tf.int64, default_value=exif.UPRIGHT),
}


def serialize(image: bytes, label: int, id: str, orientation: int | None = None) -> bytes:
    """One record, as bytes that `parse` reads back."""
    features = {"image": _bytes(image), "label": _int64(label), "id": _bytes(id.encode())}
    if orientation is not None:
        features["orientation"] = _int64(orientation)
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def parse(records: tf.Tensor) -> dict[str, tf.Tensor]:
    """A batch of records as columns.

    Args:
        records: string `[B]`.

    Returns:
        `image` string `[B]`, `label` int64 `[B]`, `id` string `[B]`, `orientation` int64 `[B]`.
    """
    return tf.io.parse_example(records, FEATURES)


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _int64(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
