"""An image file as a data set's records would hold it, in a graph: what an exported model does with a camera's photo.

The converter scales with Pillow, this with TensorFlow: both bilinear and antialiased, a level or two of 255 apart. What
records lose as JPEG is not repeated.
"""

import tensorflow as tf

from pipelines.images import exif
from pipelines.images.decode import fit, resize, scaled_to, turn
from pipelines.images.form import Form, Resize
from pipelines.images.input_options import InputSpec


def decode_as_stored(
    image: tf.Tensor, spec: InputSpec, form: Form, orientation: tf.Tensor | int = exif.UPRIGHT
) -> tf.Tensor:
    """Decodes an image, brings it into a data set's form, and then to the model's size.

    Args:
        image: string scalar: a JPEG, PNG, BMP or GIF (its first frame).
        spec: Size, channels and fit of the model.
        form: Of the data set that it was trained on.
        orientation: integer scalar, EXIF's, 1 to 8.

    Returns:
        uint8 `[image_size, image_size, channels]`, 0-255.
    """
    channels = form.channels or spec.channels
    pixels = tf.io.decode_image(image, channels=channels, expand_animations=False)
    pixels = turn(tf.ensure_shape(pixels, [None, None, channels]), orientation)
    if form.resize is not None:
        pixels = _scaled(pixels, form.resize)
    if channels < spec.channels:
        pixels = tf.image.grayscale_to_rgb(pixels)
    elif channels > spec.channels:
        pixels = tf.image.rgb_to_grayscale(pixels)
    return fit(pixels, spec)


def _scaled(pixels: tf.Tensor, wanted: Resize) -> tf.Tensor:
    """As `Resize.target` says, of pixels uint8 `[H, W, C]`."""
    shape = tf.shape(pixels)[:2]
    if wanted.kind == "exact":
        return resize(pixels, [wanted.height, wanted.width])
    side = tf.reduce_min(shape) if wanted.kind == "short" else tf.reduce_max(shape)
    return resize(pixels, tf.where(side <= wanted.height, shape, scaled_to(shape, side, wanted.height)))
