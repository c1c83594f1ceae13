"""The one warp: every geometric step of an augmentation, applied as a single gather that XLA compiles."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import tensorflow as tf

Fill = Literal["nearest", "constant", "reflect", "wrap"]
Interpolation = Literal["bilinear", "nearest"]


def warp(
    images: tf.Tensor,
    matrix: tf.Tensor,
    size: tuple[int, int],
    *,
    fill: Fill = "nearest",
    fill_value: float = 0.0,
    interpolation: Interpolation = "bilinear",
    dtype: tf.DType = tf.float32,
    of: tf.Tensor | None = None,
) -> tf.Tensor:
    """Shows images through matrices.

    Args:
        images: uint8, bfloat16 or float32 `[B, H, W, C]`, H and W static.
        matrix: float32 `[N, 2, 3]`: from the output's places to the input's, see `geometry`.
        size: (height, width) of the output.
        fill: What is seen beyond the edge: its pixel (`nearest`), `fill_value` (`constant`), the image mirrored
            (`reflect`: dcba|abcd|dcba), or repeated (`wrap`: abcd|abcd|abcd).
        fill_value: Of `constant`, 0 to 255.
        interpolation: Between pixels.
        dtype: Of the result: bfloat16 or float32. Coordinates and weights are float32 whatever it is.
        of: int32 `[N]`, which image each matrix shows; None: each its own, N = B. (Gathering
            the images first would be fused by XLA and be done for each pixel anew.)

    Returns:
        `dtype` `[N, height, width, C]`.
    """
    frame = images.shape[1:3]

    x, y = _places(matrix, frame, size)
    values = _gathered(images, of, _taps(x, frame[1], fill, interpolation), _taps(y, frame[0], fill, interpolation))
    if fill == "constant":
        seen = _coverage(x, frame[1], interpolation) * _coverage(y, frame[0], interpolation)
        values = fill_value + (values - fill_value) * seen[..., tf.newaxis]
    return tf.cast(values, dtype)


def _places(matrix: tf.Tensor, frame: tuple[int, int], size: tuple[int, int]) -> tuple[tf.Tensor, tf.Tensor]:
    """x and y in the input of all places of the output, from the centre of its upper left pixel."""
    columns = tf.range(size[1], dtype=tf.float32) - (size[1] - 1) / 2
    rows = tf.range(size[0], dtype=tf.float32) - (size[0] - 1) / 2
    m = matrix[:, :, :, tf.newaxis, tf.newaxis]
    columns, rows = columns[tf.newaxis, tf.newaxis, :], rows[tf.newaxis, :, tf.newaxis]
    x, y = m[:, 0, 2] + (frame[1] - 1) / 2, m[:, 1, 2] + (frame[0] - 1) / 2
    # Also where x is a matter of the columns alone, and y of the rows: told so, XLA computes crops from 256x256 to
    # 224x224 in 18 ms a batch of 64 instead of 9.
    return m[:, 0, 0] * columns + (m[:, 0, 1] * rows + x), m[:, 1, 0] * columns + (m[:, 1, 1] * rows + y)


class _Taps(NamedTuple):
    """Between which two pixels the places lie along one axis."""

    first: tf.Tensor  # float32, a whole number
    place: tf.Tensor | None  # float32, between the two; None: the first is all there is
    size: int
    wraps: bool

    def step(self) -> tf.Tensor | int:
        """From the first pixel to the second, int32; 0 where there is no second."""
        if self.place is None:
            return 0
        if self.wraps:
            return tf.where(self.first < self.size - 1, 1, 1 - self.size)
        return min(self.size - 1, 1)

    def share(self) -> tf.Tensor:
        """Of the second pixel, float32."""
        return self.place - self.first


def _taps(place: tf.Tensor, size: int, fill: Fill, interpolation: Interpolation) -> _Taps:
    if fill == "reflect":
        place = _modulo(place + 0.5, 2 * size)
        place = tf.minimum(place, 2 * size - place) - 0.5
    elif fill == "wrap":
        place = _modulo(place, size)
    if interpolation == "nearest":
        first = tf.floor(place + 0.5)
        return _Taps(_modulo(first, size) if fill == "wrap" else _within(first, size - 1), None, size, fill == "wrap")
    if fill == "wrap":
        first = _within(tf.floor(place), size - 1)
        return _Taps(first, place, size, wraps=True)
    # At the last pixel the share is 1, so that there always is a second.
    place = _within(place, size - 1)
    first = _within(tf.floor(place), max(size - 2, 0))
    return _Taps(first, place, size, wraps=False)


def _coverage(place: tf.Tensor, size: int, interpolation: Interpolation) -> tf.Tensor:
    """How much of what is seen at a place lies inside the image, along one axis: float32, 0 to 1."""
    if interpolation == "nearest":
        return tf.cast((place >= -0.5) & (place < size - 0.5), tf.float32)
    return tf.clip_by_value(tf.minimum(place + 1, size - place), 0.0, 1.0)


def _gathered(images: tf.Tensor, of: tf.Tensor | None, x: _Taps, y: _Taps) -> tf.Tensor:
    values = _of_others(images, of, x, y) if of is not None or x.wraps else _of_their_own(images, x, y)

    def row(number: int) -> tf.Tensor:
        return values(number, 0) if x.place is None else _between(values(number, 0), values(number, 1), x.share())

    return row(0) if y.place is None else _between(row(0), row(1), y.share())


Values = Callable[[int, int], tf.Tensor]  # (0 | 1, 0 | 1), row and column of the taps -> float32 [N, h, w, C]


def _of_their_own(images: tf.Tensor, x: _Taps, y: _Taps) -> Values:
    # In this form XLA's loop is at its fastest: a table for each tap, which begins where its first value stands, so
    # that one index serves all, and wide indices. 64 images of 96x96x3 on two cores: 2.1 ms; one table and offsets 2.8,
    # int32 indices 2.3, uint8 brought to floats beforehand 3.4.
    height, width, channels = images.shape[1:]
    flat = tf.reshape(images, [-1, height * width, channels])
    first = tf.cast(_whole(y.first * width + x.first), tf.int64)
    down, right = y.step() * width, x.step()
    length = height * width - down - right

    def values(row: int, column: int) -> tf.Tensor:
        start = row * down + column * right
        return tf.cast(tf.gather(flat[:, start : start + length], first, batch_dims=1), tf.float32)

    return values


def _of_others(images: tf.Tensor, of: tf.Tensor | None, x: _Taps, y: _Taps) -> Values:
    height, width, channels = images.shape[1:]
    flat = tf.reshape(images, [-1, channels])
    of = tf.range(tf.shape(images)[0]) if of is None else of
    first = _whole(y.first * width + x.first) + (of * (height * width))[:, tf.newaxis, tf.newaxis]

    def values(row: int, column: int) -> tf.Tensor:
        return tf.cast(tf.gather(flat, first + row * y.step() * width + column * x.step()), tf.float32)

    return values


def _between(first: tf.Tensor, second: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    return first + (second - first) * share[..., tf.newaxis]


def _within(value: tf.Tensor, last: int) -> tf.Tensor:
    """From 0 to `last`; whatever is no number becomes one of them."""
    return tf.minimum(tf.maximum(value, 0.0), float(last))


def _modulo(value: tf.Tensor, size: int) -> tf.Tensor:
    # tf.math.floormod is a call of the C library for each pixel.
    return value - size * tf.floor(value / size)


def _whole(value: tf.Tensor) -> tf.Tensor:
    """float32 whole numbers from 0 to below 2**23 as int32, by their bits: a cast checks for what cannot occur here."""
    return tf.bitcast(value + 2.0**23, tf.int32) - 0x4B000000
