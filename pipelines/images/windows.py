"""Windows of encoded images, cut out while decoding: what lies outside is read past and never becomes pixels.

A window that is at least twice as large as what becomes of it is decoded at 1/2, 1/4 or 1/8 scale: JPEG's cosine
transform gives the means of squares of pixels for less work than the pixels. What is left is resized with antialiasing,
as such windows of other formats are at full scale. (On photos the two are within 1.1 to 1.8 grey levels of each other,
on average; without antialiasing it would be 2.4 to 10.) Smaller windows are resized by plain bilinear.
"""

from typing import NamedTuple

import tensorflow as tf

_JPEG = b"\xff\xd8\xff"
_MARGIN = 2


def image_sizes(images: tf.Tensor) -> tf.Tensor:
    """Reads off headers how large images are as they are stored.

    Args:
        images: string `[B]`, each a JPEG or PNG.

    Returns:
        int32 `[B, 2]`: height, width.
    """

    def size(image: tf.Tensor) -> tf.Tensor:
        return tf.cond(is_jpeg(image), lambda: tf.io.extract_jpeg_shape(image)[:2], lambda: _png_size(image))

    return tf.map_fn(size, images, fn_output_signature=tf.TensorSpec([2], tf.int32), parallel_iterations=1)


def is_jpeg(image: tf.Tensor) -> tf.Tensor:
    """Whether a string scalar begins as JPEG files do."""
    return tf.equal(tf.strings.substr(image, 0, 3), _JPEG)


def shown_sizes(sizes: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Sizes `[B, 2]` of stored images once they are turned as EXIF's orientation `[B]` says; works both ways."""
    return tf.where(orientation[:, tf.newaxis] >= 5, sizes[:, ::-1], sizes)


def stored_boxes(boxes: tf.Tensor, sizes: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Where windows of turned images lie in the images as they are stored.

    Args:
        boxes: int32 `[B, 4]`: top, left, height, width, as shown.
        sizes: int32 `[B, 2]`: height, width, as shown.
        orientation: integer `[B]`, EXIF's, 1 to 8.

    Returns:
        int32 `[B, 4]`.
    """
    top, left, height, width = tf.unstack(boxes, axis=1)
    # `decode.turn` backwards: upside down, left to right, then rows and columns.
    top = tf.where(_any_of(orientation, 3, 4, 7, 8), sizes[:, 0] - top - height, top)
    left = tf.where(_any_of(orientation, 2, 3, 6, 7), sizes[:, 1] - left - width, left)
    upright, lying = tf.stack([top, left, height, width], axis=1), tf.stack([left, top, width, height], axis=1)
    return tf.where(orientation[:, tf.newaxis] >= 5, lying, upright)


class Windows(NamedTuple):
    """Windows of B images, at the scale at which each is decoded."""

    ratio: tf.Tensor  # int32 [B]: 1, 2, 4 or 8, by which the image is divided
    decoded: tf.Tensor  # int32 [B, 4]: top, left, height, width of what is decoded, in the image at that scale
    inner: tf.Tensor  # float32 [B, 4]: the same of the window, within what is decoded; whole numbers at ratio 1


def plan(boxes: tf.Tensor, sizes: tf.Tensor, target: tuple[int, int]) -> Windows:
    """How windows are decoded.

    Args:
        boxes: int32 `[B, 4]`: top, left, height, width, as stored.
        sizes: int32 `[B, 2]`: height, width, as stored.
        target: (height, width) that the windows are brought to; the larger of the two counts for both.
    """
    times = tf.reduce_min(boxes[:, 2:], axis=1) // max(target)
    ratio = 1 + sum(tf.cast(times >= 2**power, tf.int32) * 2 ** (power - 1) for power in (1, 2, 3))
    by = ratio[:, tf.newaxis]
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    # The decoder takes its outermost columns for the image's: colours, stored at half the width, would be wrong there.
    first = tf.maximum(low // by - [0, _MARGIN], 0)
    last = tf.minimum(-(-high // by) + [0, _MARGIN], -(-sizes // by))
    corner, extent = low - first * by, boxes[:, 2:]
    inner = tf.cast(tf.concat([corner, extent], axis=1), tf.float32) / tf.cast(by, tf.float32)
    return Windows(ratio, tf.concat([first, last - first], axis=1), inner)


def decode_window(image: tf.Tensor, window: Windows, size: tuple[int, int], channels: int) -> tf.Tensor:
    """Decodes a window of an image, and brings it to a size.

    Args:
        image: string scalar: a JPEG or PNG.
        window: One of those that `plan` gives.
        size: (height, width).
        channels: 1 or 3.

    Returns:
        uint8 `[*size, channels]`, rounded.
    """
    return fit_window(*decode_around(image, window, channels), window.ratio, size)


def fit_window(pixels: tf.Tensor, inner: tf.Tensor, ratio: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Brings a window to a size.

    Args:
        pixels: uint8 `[h, w, C]`, as `decode_around` gives them.
        inner: The same.
        ratio: The window's.
        size: (height, width).

    Returns:
        uint8 `[*size, C]`, rounded.
    """

    def plainly() -> tf.Tensor:
        # Half of the time of `tf.image.resize`.
        images = _slice(pixels, tf.cast(inner, tf.int32))[tf.newaxis]
        return tf.raw_ops.ResizeBilinear(images=images, size=size, half_pixel_centers=True)

    def antialiased() -> tf.Tensor:
        scale = tf.constant(size, tf.float32) / inner[2:]
        return tf.raw_ops.ScaleAndTranslate(
            images=pixels[tf.newaxis],
            size=size,
            scale=scale,
            translation=-inner[:2] * scale,
            kernel_type="triangle",
            antialias=True,
        )

    resized = tf.cond(tf.equal(ratio, 1), plainly, antialiased)[0]
    # Rounding of its own: the sum is never above 255.5.
    return tf.ensure_shape(tf.cast(resized + 0.5, tf.uint8), [*size, pixels.shape[-1]])


def decode_around(image: tf.Tensor, window: Windows, channels: int) -> tuple[tf.Tensor, tf.Tensor]:
    """What holds a window, uint8 `[height, width, channels]`, and where in it: formats but JPEG have one scale only."""

    def jpeg(ratio: int):
        return lambda: tf.io.decode_and_crop_jpeg(image, window.decoded, channels=channels, ratio=ratio)

    def jpeg_at_ratio() -> tuple[tf.Tensor, tf.Tensor]:
        power = sum(tf.cast(window.ratio >= 2**power, tf.int32) for power in (1, 2, 3))
        return tf.switch_case(power, [jpeg(2**power) for power in range(4)]), window.inner

    def other() -> tuple[tf.Tensor, tf.Tensor]:
        pixels = tf.io.decode_image(image, channels=channels, expand_animations=False)
        pixels = tf.ensure_shape(pixels, [None, None, channels])
        return _slice(pixels, window.decoded * window.ratio), window.inner * tf.cast(window.ratio, tf.float32)

    pixels, inner = tf.cond(is_jpeg(image), jpeg_at_ratio, other)
    return tf.ensure_shape(pixels, [None, None, channels]), inner


def _slice(pixels: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
    top, left, height, width = tf.unstack(box)
    return pixels[top : top + height, left : left + width]


def _png_size(image: tf.Tensor) -> tf.Tensor:
    """https://www.w3.org/TR/png-3/#11IHDR: width and height, four bytes each, the highest first."""
    return tf.io.decode_raw(tf.strings.substr(image, 16, 8), tf.int32, little_endian=False)[::-1]


def _any_of(value: tf.Tensor, *wanted: int) -> tf.Tensor:
    return tf.reduce_any(tf.equal(value[:, tf.newaxis], tf.constant(wanted, value.dtype)), axis=1)
