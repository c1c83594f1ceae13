"""Colour: what red, green and blue have to do with each other. All on float32 `[B, H, W, C]`, 0-255.

The first three channels are red, green and blue; further ones stay as they are. Images of fewer have no colour, and
stay as they are altogether.
"""

import tensorflow as tf

from pipelines.augment.batches import per_image


def has_color(images: tf.Tensor) -> bool:
    """Whether there are at least three channels."""
    return images.shape[-1] >= 3


def luma(images: tf.Tensor) -> tf.Tensor:
    """How bright each pixel looks, `[B, H, W, 1]` (ITU-R BT.601); the channels' mean where there is no colour."""
    if not has_color(images):
        return tf.reduce_mean(images, axis=-1, keepdims=True)
    red, green, blue = (images[..., channel : channel + 1] for channel in range(3))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def saturated(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blends with the grey image: grey at factor `[B]` 0, unchanged at 1."""
    if not has_color(images):
        return images
    grey = luma(images)
    colored = tf.clip_by_value(grey + (images - grey) * per_image(factor), 0.0, 255.0)
    return _with_color(images, colored)


def hue_turned(images: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    """Turns the hue by `[B]` of the colour circle; saturation and value (of HSV) stay."""
    if not has_color(images):
        return images
    red, green, blue = (images[..., channel] for channel in range(3))
    value = tf.maximum(tf.maximum(red, green), blue)
    chroma = value - tf.minimum(tf.minimum(red, green), blue)
    span = tf.where(chroma > 0, chroma, 1.0)
    # In sixths of the circle, from red by way of green and blue.
    hue = tf.where(
        value == red,
        (green - blue) / span,
        tf.where(value == green, 2 + (blue - red) / span, 4 + (red - green) / span),
    )
    hue += 6 * turn[:, tf.newaxis, tf.newaxis]

    def channel(offset: float) -> tf.Tensor:
        place = hue + offset
        place -= 6 * tf.floor(place / 6)  # tf.math.floormod is a call of the C library for each pixel
        return value - chroma * tf.clip_by_value(tf.minimum(place, 4 - place), 0.0, 1.0)

    return tf.concat([tf.stack([channel(5.0), channel(3.0), channel(1.0)], axis=-1), images[..., 3:]], axis=-1)


def _with_color(images: tf.Tensor, colored: tf.Tensor) -> tf.Tensor:
    """The first three channels of `colored`, and the others of `images`."""
    if images.shape[-1] == 3:
        return colored
    return tf.where(tf.range(images.shape[-1]) < 3, colored, images)
