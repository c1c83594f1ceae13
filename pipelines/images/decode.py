"""Bytes -> pixels: the one way in which an image becomes the model's size, in training, evaluation and use."""

import tensorflow as tf

from pipelines.images import exif
from pipelines.images.header import read_header
from pipelines.images.input_options import InputSpec


def decode(image: tf.Tensor, spec: InputSpec, orientation: tf.Tensor | int = exif.UPRIGHT) -> tf.Tensor:
    """Decodes an image, turns it upright and fits it to the model's size.

    Args:
        image: string scalar: a JPEG, PNG, BMP or GIF (its first frame).
        spec: Size, channels and fit.
        orientation: integer scalar, EXIF's, 1 to 8, as the image's record holds it.

    Returns:
        uint8 `[image_size, image_size, channels]`, 0-255.
    """
    pixels = tf.io.decode_image(image, channels=spec.channels, expand_animations=False)
    pixels = tf.ensure_shape(pixels, [None, None, spec.channels])
    return fit(turn(pixels, orientation), spec)


def decode_all(images: tf.Tensor, spec: InputSpec, orientation: tf.Tensor) -> tf.Tensor:
    """Decodes several images as `decode` does, one after the other in one thread.

    Batches are made side by side, and an image alone would cost copies.

    Args:
        images: string `[B]`.
        spec: Size, channels and fit.
        orientation: int64 `[B]`, EXIF's.

    Returns:
        uint8 `[B, image_size, image_size, channels]`, 0-255.
    """
    return tf.map_fn(
        lambda row: decode(row[0], spec, row[1]),
        (images, orientation),
        fn_output_signature=tf.TensorSpec(spec.shape, tf.uint8),
        parallel_iterations=1,
    )


def decode_file(data: bytes, spec: InputSpec, max_pixels: int = 100_000_000) -> tf.Tensor:
    """Decodes an image file as its record would be: with the orientation that the file itself holds.

    Args:
        data: A JPEG, PNG, BMP or GIF file.
        spec: Size, channels and fit.
        max_pixels: How many pixels it may have.

    Returns:
        uint8 `[image_size, image_size, channels]`, 0-255.

    Raises:
        UndecodableError: It is no such file, or claims too many pixels.
    """
    return decode(tf.constant(data), spec, read_header(data, max_pixels).orientation)


def decode_raw(pixels: tf.Tensor, stored: tuple[int, int, int], spec: InputSpec | None, channels: int) -> tf.Tensor:
    """The images of a batch of records of a `raw` dataset.

    Args:
        pixels: string `[B]`: uint8 `stored`, row by row.
        stored: (height, width, channels).
        spec: What the images are fitted to; None: they keep their size.
        channels: Of the result, 1 or 3.

    Returns:
        uint8 `[B, height, width, channels]`, 0-255.
    """
    images = tf.reshape(tf.io.decode_raw(pixels, tf.uint8), [-1, *stored])
    images = tf.ensure_shape(images, [pixels.shape[0], *stored])
    if stored[2] < channels:
        images = tf.image.grayscale_to_rgb(images)
    elif stored[2] > channels:
        images = tf.image.rgb_to_grayscale(images)
    return images if spec is None else fit(images, spec)


def turn(pixels: tf.Tensor, orientation: tf.Tensor | int) -> tf.Tensor:
    """Turns an image as its EXIF orientation wants it shown.

    Args:
        pixels: `[height, width, channels]`.
        orientation: integer scalar, 1 (as it is) to 8; from 5 on height and width change places.

    Returns:
        The same pixels in other places.
    """

    def turned() -> tf.Tensor:
        image = tf.cond(orientation >= 5, lambda: tf.transpose(pixels, [1, 0, 2]), lambda: pixels)
        image = tf.cond(_any_of(orientation, 2, 3, 6, 7), lambda: tf.reverse(image, [1]), lambda: image)
        return tf.cond(_any_of(orientation, 3, 4, 7, 8), lambda: tf.reverse(image, [0]), lambda: image)

    orientation = tf.convert_to_tensor(orientation, tf.int64)
    return tf.cond(orientation == exif.UPRIGHT, lambda: pixels, turned)


def fit(pixels: tf.Tensor, spec: InputSpec) -> tf.Tensor:
    """Brings decoded pixels to the model's size: stretched, cropped at the centre, or padded with black.

    Args:
        pixels: uint8 `[..., height, width, channels]`: one image, or a batch of images of one size.
        spec: Size, channels and fit.

    Returns:
        uint8 `[..., image_size, image_size, channels]`; bilinear, antialiased where the image shrinks, rounded.
    """
    size = spec.image_size
    leading, (height, width) = pixels.shape[:-3], tf.unstack(tf.shape(pixels)[-3:-1])
    if spec.fit == "crop":
        side = tf.minimum(height, width)
        pixels = tf.image.crop_to_bounding_box(pixels, (height - side) // 2, (width - side) // 2, side, side)
        height = width = side
    unchanged = tf.logical_and(tf.equal(height, size), tf.equal(width, size))
    fitted = tf.cond(unchanged, lambda: pixels, lambda: _fitted(pixels, spec))
    return tf.ensure_shape(fitted, [*leading, *spec.shape])


def _fitted(pixels: tf.Tensor, spec: InputSpec) -> tf.Tensor:
    size = [spec.image_size, spec.image_size]
    if spec.fit != "pad":
        return resize(pixels, size)
    # Not tf.image.resize_with_pad: it computes in floats, and places an image otherwise in a graph than eagerly.
    shape = tf.shape(pixels)[-3:-1]
    inner = scaled_to(shape, tf.reduce_max(shape), spec.image_size)
    top, left = tf.unstack((size - inner) // 2)
    return tf.image.pad_to_bounding_box(resize(pixels, inner), top, left, *size)


def scaled_to(shape: tf.Tensor, side: tf.Tensor, size: int) -> tf.Tensor:
    """The (height, width) of an image whose `side` becomes `size`, rounded in integers: the same everywhere.

    Args:
        shape: int32 `[2]`.
        side: int32 scalar, the shorter or the longer of them.
        size: That it gets.
    """
    return tf.maximum(1, (2 * shape * size + side) // (2 * side))


def resize(pixels: tf.Tensor, size: tf.Tensor | list[int]) -> tf.Tensor:
    """uint8 `[..., H, W, C]` in another size (height, width): bilinear, antialiased where it shrinks, rounded."""
    return tf.cast(tf.clip_by_value(tf.round(tf.image.resize(pixels, size, antialias=True)), 0, 255), tf.uint8)


def _any_of(value: tf.Tensor, *wanted: int) -> tf.Tensor:
    return tf.reduce_any(tf.equal(value, tf.constant(wanted, tf.int64)))
