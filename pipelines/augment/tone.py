"""Changes of tone: every value by itself, or by a few numbers about its image. All on float32 `[B, H, W, C]`, 0-255.

Definitions are Pillow's, without its rounding; results stay within 0-255.
"""

from collections.abc import Callable

import tensorflow as tf

from pipelines.augment.batches import per_image
from pipelines.augment.color import luma


def blended(base: tf.Tensor, images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """From `base` at factor `[B]` 0 through the images at 1 to their exaggeration."""
    return kept(base + (images - base) * per_image(factor))


def brightened(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blends with black."""
    return kept(images * per_image(factor))


def contrasted(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blends with the image's mean grey."""
    grey = luma(images)
    return blended(per_image(over_pixels(grey, tf.reduce_mean)[:, 0]), images, factor)


def inverted(images: tf.Tensor) -> tf.Tensor:
    """The negatives."""
    return 255 - images


def solarized(images: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """The negative of what is at or above the threshold `[B]`."""
    return tf.where(images >= per_image(threshold), 255 - images, images)


def posterized(images: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """Rounds to whole values and clears all but the highest `bits` (float32 `[B]`, whole, 1 to 8)."""
    # Multiples of powers of two: exact.
    step = per_image(tf.pow(2.0, 8 - bits))
    return tf.floor(tf.round(images) / step) * step


def autocontrasted(images: tf.Tensor) -> tf.Tensor:
    """Stretches each channel from its own lowest and highest value to 0 and 255; a flat channel stays."""
    low, high = over_pixels(images, tf.reduce_min), over_pixels(images, tf.reduce_max)
    scale = tf.where(high > low, 255 / tf.where(high > low, high - low, 1.0), 1.0)
    offset = tf.where(high > low, -low * scale, 0.0)
    return kept(images * scale[:, tf.newaxis, tf.newaxis] + offset[:, tf.newaxis, tf.newaxis])


def shifted(images: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """Adds `[B]` to all channels, within the image's own lowest and highest value."""
    low = tf.reduce_min(over_pixels(images, tf.reduce_min), axis=1)
    high = tf.reduce_max(over_pixels(images, tf.reduce_max), axis=1)
    return tf.clip_by_value(images + per_image(shift), per_image(low), per_image(high))


def kept(images: tf.Tensor) -> tf.Tensor:
    """Within 0-255."""
    return tf.clip_by_value(images, 0.0, 255.0)


def over_pixels(images: tf.Tensor, reduce: Callable[..., tf.Tensor]) -> tf.Tensor:
    """`tf.reduce_mean`, `tf.reduce_min` or `tf.reduce_max` of each channel, `[B, C]`.

    Down the columns first, which the CPU's vector units can do; three channels side by side they can not.
    """
    height, width, channels = images.shape[1:]
    columns = reduce(tf.reshape(images, [-1, height, width * channels]), axis=1)
    return reduce(tf.reshape(columns, [-1, width, channels]), axis=1)
