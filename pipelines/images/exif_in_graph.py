"""The orientation that a camera noted in its picture, found by TensorFlow itself: for models that take files.

As `exif.orientation` reads it, which the tests hold it to.
"""

import tensorflow as tf

from pipelines.images import exif

_MARK = b"Exif\0\0"
_SEARCHED = 1 << 16  # bytes at the start of a file: segments of metadata come first, and none is longer
_TAG, _SHORT = 0x0112, 3


def orientation_of(file: tf.Tensor) -> tf.Tensor:
    """How the picture in a file must be turned to stand upright.

    Args:
        file: string scalar: a JPEG; of other files nothing is read.

    Returns:
        int64 scalar, 1 to 8; 1 where nothing is noted, or nothing that makes sense.
    """
    data = tf.cast(tf.io.decode_raw(tf.strings.substr(file, 0, 2 * _SEARCHED), tf.uint8), tf.int64)
    data = tf.pad(data, [[0, len(_MARK)]])
    last = tf.size(data) - len(_MARK) + 1
    marks = tf.reduce_all([data[place : last + place] == byte for place, byte in enumerate(_MARK)], axis=0)
    start = tf.concat([tf.where(marks)[:1, 0] + len(_MARK), [tf.size(data, tf.int64)]], axis=0)[0]
    is_jpeg = tf.strings.substr(file, 0, 3) == b"\xff\xd8\xff"
    return tf.where(is_jpeg, _in_tiff(data[start:]), exif.UPRIGHT)


def _in_tiff(tiff: tf.Tensor) -> tf.Tensor:
    """int64 `[N]`, bytes, to the value of the tag."""
    size = tf.size(tiff, tf.int64)
    tiff = tf.pad(tiff, [[0, 16]])
    little = tf.reduce_all(tiff[:4] == list(b"II*\0"))
    valid = little | tf.reduce_all(tiff[:4] == list(b"MM\0*"))

    def number(offset: tf.Tensor | int, width: int) -> tf.Tensor:
        # Past the end there are zeros, which no tag is.
        first = tf.convert_to_tensor(offset, tf.int64)
        bytes_ = [tf.gather(tiff, tf.minimum(first + i, size + 15)) for i in range(width)]
        places = [tf.where(little, 1 << 8 * i, 1 << 8 * (width - 1 - i)) for i in range(width)]
        return tf.add_n([byte * tf.cast(place, tf.int64) for byte, place in zip(bytes_, places, strict=True)])

    directory = number(4, 4)
    entries = directory + 2 + 12 * tf.range(number(directory, 2))
    found = tf.boolean_mask(entries, number(entries, 2) == _TAG)[:1]
    value = number(found + 8, 2)
    sound = (number(found + 2, 2) == _SHORT) & (number(found + 4, 4) == 1) & (value >= 1) & (value <= 8)
    return tf.where(valid, tf.concat([tf.boolean_mask(value, sound), [exif.UPRIGHT]], axis=0)[0], exif.UPRIGHT)
