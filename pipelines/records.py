"""The Example schema, both ways: what one record of a Millrace shard holds.

    image        bytes   one encoded JPEG or PNG; in a `raw` dataset uint8 pixels `[H, W, C]`, row by row
    label        int64   place of the class in the manifest's `classes`
    id           bytes   UTF-8; the file's path relative to the source, or the place in the source's array
    orientation  int64   EXIF's, 1 to 8: how `image` must be turned when it is decoded; only in a `keep` dataset

TFDS reads the same records (`tfds.builder_from_directory`), but does not turn the images.
"""

import functools

import tensorflow as tf

from pipelines.images import exif

# Tags of fields that hold bytes: number 1, 2, 3, kind 2. `Feature` has its bytes in 1, its integers in 3.
_ONE, _TWO, _THREE = b"\x0a", b"\x12", b"\x1a"
_BYTES_LIST, _INT64_LIST = _ONE, _THREE

FEATURES = {
    "image": tf.io.FixedLenFeature([], tf.string),
    "label": tf.io.FixedLenFeature([], tf.int64),
    "id": tf.io.FixedLenFeature([], tf.string),
    "orientation": tf.io.FixedLenFeature([], tf.int64, default_value=exif.UPRIGHT),
}


def serialize(image: bytes, label: int, id: str, orientation: int | None = None) -> bytes:
    """One record, as bytes that `parse` reads back: a `tf.train.Example`, its features in the order of their names.

    Written by hand, since protobuf copies the image three times (58 us to 19 for 46 KB). The wire format is a tag byte
    (field number * 8 + kind) and a number, or a tag byte, a length and as many bytes: https://protobuf.dev/programming-guides/encoding
    """
    head = _feature(b"id", _BYTES_LIST, _field(_ONE, id.encode()))
    body = _feature_around(b"image", _BYTES_LIST, _ONE, len(image))
    tail = _numbers(label, orientation)
    features = len(head) + len(body) + len(image) + len(tail)
    return b"".join((_ONE, _varint(features), head, body, image, tail))


def parse(records: tf.Tensor) -> dict[str, tf.Tensor]:
    """A batch of records as columns.

    Args:
        records: string `[B]`.

    Returns:
        `image` string `[B]`, `label` int64 `[B]`, `id` string `[B]`, `orientation` int64 `[B]`.
    """
    return tf.io.parse_example(records, FEATURES)


@functools.lru_cache(maxsize=4096)
def _numbers(label: int, orientation: int | None) -> bytes:
    features = _feature(b"label", _INT64_LIST, _field(_ONE, _varint(label)))
    if orientation is not None:
        features += _feature(b"orientation", _INT64_LIST, _field(_ONE, _varint(orientation)))
    return features


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the highest bit says that more follow."""
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + _varint(len(content)) + content


def _feature(name: bytes, kind: bytes, values: bytes) -> bytes:
    """One entry of the map `Features.feature`: its name, and a `Feature` with a list of values."""
    return _field(_ONE, _field(_ONE, name) + _field(_TWO, _field(kind, values)))


def _feature_around(name: bytes, kind: bytes, tag: bytes, size: int) -> bytes:
    """What stands before a value of `size` bytes in such an entry."""
    value = tag + _varint(size)
    values = kind + _varint(len(value) + size) + value
    feature = _field(_ONE, name) + _TWO + _varint(len(values) + size) + values
    return _ONE + _varint(len(feature) + size) + feature
