"""The Example schema, both ways: what one record of a Millrace shard holds.

    image  bytes   one encoded JPEG or PNG
    label  int64   place of the class in the manifest's `classes`
    id     bytes   UTF-8; the file's path relative to the source, or the place in the source's array

TFDS reads the same records (`tfds.builder_from_directory`).
"""

import tensorflow as tf

FEATURES = {
    "image": tf.io.FixedLenFeature([], tf.string),
    "label": tf.io.FixedLenFeature([], tf.int64),
    "id": tf.io.FixedLenFeature([], tf.string),
}


def serialize(image: bytes, label: int, id: str) -> bytes:
    """One record, as bytes that `parse` reads back."""
    features = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
        "id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[id.encode()])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def parse(records: tf.Tensor) -> dict[str, tf.Tensor]:
    """A batch of records as columns.

    Args:
        records: string `[B]`.

    Returns:
        `image` string `[B]`, `label` int64 `[B]`, `id` string `[B]`.
    """
    return tf.io.parse_example(records, FEATURES)
