"""Bytes -> pixels: the one way in which an image becomes the model's size, in training, evaluation and use."""

import tensorflow as tf

from pipelines.input_options import InputSpec


def decode(image: tf.Tensor, spec: InputSpec) -> tf.Tensor:
    """Decodes an image and fits it to the model's size.

    Args:
        image: string scalar: a JPEG, PNG, BMP or GIF (its first frame).
        spec: Size, channels and fit.

    Returns:
        uint8 `[image_size, image_size, channels]`, 0-255.
    """
    pixels = tf.io.decode_image(image, channels=spec.channels, expand_animations=False)
    pixels.set_shape([None, None, spec.channels])
    return fit(pixels, spec)


def fit(pixels: tf.Tensor, spec: InputSpec) -> tf.Tensor:
    """Brings decoded pixels to the model's size: stretched, cropped at the centre, or padded with black.

    Args:
        pixels: uint8 `[height, width, channels]`.
        spec: Size, channels and fit.

    Returns:
        uint8 `[image_size, image_size, channels]`; bilinear, antialiased where the image shrinks, rounded.
    """
    size = spec.image_size
    height, width = tf.shape(pixels)[0], tf.shape(pixels)[1]
    if spec.fit == "crop":
        side = tf.minimum(height, width)
        pixels = tf.image.crop_to_bounding_box(pixels, (height - side) // 2, (width - side) // 2, side, side)
        height = width = side
    unchanged = tf.logical_and(tf.equal(height, size), tf.equal(width, size))
    return tf.ensure_shape(tf.cond(unchanged, lambda: pixels, lambda: _resize(pixels, spec)), spec.shape)


def _resize(pixels: tf.Tensor, spec: InputSpec) -> tf.Tensor:
    size = [spec.image_size, spec.image_size]
    if spec.fit == "pad":
        resized = tf.image.resize_with_pad(pixels, *size, antialias=True)
    else:
        resized = tf.image.resize(pixels, size, antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)
