"""The one warp: every geometric step of an augmentation, applied as a single gather that XLA compiles."""

from typing import Literal

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
    aligned: bool = False,
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
        aligned: That no matrix turns or slants: then rows and columns are gathered one after the other.
        dtype: Of the result: bfloat16 or float32. Coordinates and weights are float32 whatever it is.
        of: int32 `[N]`, which image each matrix shows; None: each its own, N = B. (For the unaligned path: without it
            XLA would gather the images first, for each pixel anew.)

    Returns:
        `dtype` `[N, height, width, C]`.
    """
    height, width = images.shape[1:3]
    columns = tf.range(size[1], dtype=tf.float32) - (size[1] - 1) / 2
    rows = tf.range(size[0], dtype=tf.float32) - (size[0] - 1) / 2
    m = matrix[:, :, :, tf.newaxis, tf.newaxis]
    columns, rows = columns[tf.newaxis, tf.newaxis, :], rows[tf.newaxis, :, tf.newaxis]
    if aligned:
        x = _Taps(m[:, 0, 0] * columns + m[:, 0, 2] + (width - 1) / 2, width, fill, interpolation)
        y = _Taps(m[:, 1, 1] * rows + m[:, 1, 2] + (height - 1) / 2, height, fill, interpolation)
        return _by_axes(images, x, y, fill_value, dtype)
    x = _Taps(m[:, 0, 0] * columns + m[:, 0, 1] * rows + m[:, 0, 2] + (width - 1) / 2, width, fill, interpolation)
    y = _Taps(m[:, 1, 0] * columns + m[:, 1, 1] * rows + m[:, 1, 2] + (height - 1) / 2, height, fill, interpolation)
    return _by_pixels(images, tf.range(tf.shape(images)[0]) if of is None else of, x, y, fill_value, dtype)


class _Taps:
    """Along one axis: the one or two input pixels that a place lies between, the second one's share, and whether each
    is inside (None: all are)."""

    def __init__(self, place: tf.Tensor, size: int, fill: Fill, interpolation: Interpolation) -> None:
        # What is far outside stays within the integers, and whatever is no number becomes a place.
        place = tf.clip_by_value(place, -8.0 * size - 8, 9.0 * size + 8)
        if interpolation == "nearest":
            first = tf.floor(place + 0.5)
            self.share = None
        else:
            first = tf.floor(place)
            self.share = place - first
        first = tf.cast(first, tf.int32)
        wanted = [first] if self.share is None else [first, first + 1]
        self.pixels = [_inside(pixel, size, fill) for pixel in wanted]
        self.inside = [(pixel >= 0) & (pixel < size) for pixel in wanted] if fill == "constant" else None


def _inside(pixel: tf.Tensor, size: int, fill: Fill) -> tf.Tensor:
    if fill == "reflect":
        pixel = tf.math.floormod(pixel, 2 * size)
        return tf.minimum(pixel, 2 * size - 1 - pixel)
    if fill == "wrap":
        return tf.math.floormod(pixel, size)
    return tf.clip_by_value(pixel, 0, size - 1)


def _by_pixels(images: tf.Tensor, of: tf.Tensor, x: _Taps, y: _Taps, fill_value: float, dtype: tf.DType) -> tf.Tensor:
    height, width, channels = images.shape[1:]
    flat = tf.reshape(images, [-1, channels])
    start = (of * (height * width))[:, tf.newaxis, tf.newaxis]

    def row(at: int) -> tf.Tensor:
        line = start + y.pixels[at] * width
        values = []
        for other, pixel in enumerate(x.pixels):
            value = tf.cast(tf.gather(flat, line + pixel), tf.float32)
            if x.inside is not None:
                value = tf.where((y.inside[at] & x.inside[other])[..., tf.newaxis], value, fill_value)
            values.append(value)
        return _between(values, x.share)

    return tf.cast(_between([row(at) for at in range(len(y.pixels))], y.share), dtype)


def _by_axes(images: tf.Tensor, x: _Taps, y: _Taps, fill_value: float, dtype: tf.DType) -> tf.Tensor:
    def along(values: tf.Tensor, taps: _Taps, axis: int) -> tf.Tensor:
        shape = [-1, 1, 1, 1]
        shape[axis] = taps.pixels[0].shape[axis]
        parts = []
        for at, pixel in enumerate(taps.pixels):
            part = tf.cast(
                tf.gather(values, tf.reshape(pixel, shape[:1] + [shape[axis]]), axis=axis, batch_dims=1), tf.float32
            )
            if taps.inside is not None:
                part = tf.where(tf.reshape(taps.inside[at], shape), part, fill_value)
            parts.append(part)
        return _between(parts, None if taps.share is None else tf.reshape(taps.share, shape)[..., 0])

    return tf.cast(along(along(images, y, 1), x, 2), dtype)


def _between(values: list[tf.Tensor], share: tf.Tensor | None) -> tf.Tensor:
    if share is None:
        return values[0]
    return values[0] + (values[1] - values[0]) * share[..., tf.newaxis]
