"""Windows of encoded images, cut out while decoding: what lies outside is read past and never becomes pixels.

A window that is at least twice as large as what becomes of it is decoded at 1/2, 1/4 or 1/8 scale: JPEG's cosine
transform gives the means of squares of pixels for less work than the pixels. For other formats the means are taken
afterwards. The rest of the way is bilinear, so that nothing shrinks by more than 2 without being averaged.
"""

import tensorflow as tf

_JPEG = b"\xff\xd8\xff"


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


def scaled_boxes(boxes: tf.Tensor, sizes: tf.Tensor, target: tuple[int, int]) -> tuple[tf.Tensor, tf.Tensor]:
    """At which scale windows are decoded, and where they lie in the image at that scale.

    Args:
        boxes: int32 `[B, 4]`, as stored.
        sizes: int32 `[B, 2]`, as stored.
        target: (height, width) that the windows are brought to; the larger of the two counts for both.

    Returns:
        int32 `[B, 4]`, and int32 `[B]`: 1, 2, 4 or 8, by which the image is divided.
    """
    times = tf.reduce_min(boxes[:, 2:], axis=1) // max(target)
    ratio = sum(tf.cast(times >= 2**power, tf.int32) * 2 ** (power - 1) for power in (1, 2, 3)) + 1
    by = ratio[:, tf.newaxis]
    corner = tf.minimum((boxes[:, :2] + by // 2) // by, sizes // by - 1)
    extent = tf.clip_by_value((boxes[:, 2:] + by // 2) // by, 1, sizes // by - corner)
    return tf.concat([corner, extent], axis=1), ratio


def decode_window(image: tf.Tensor, box: tf.Tensor, ratio: tf.Tensor, channels: int) -> tf.Tensor:
    """Decodes a window of an image, at the scale 1 / ratio.

    Args:
        image: string scalar: a JPEG or PNG.
        box: int32 `[4]`: top, left, height, width, in the image at that scale.
        ratio: int32 scalar: 1, 2, 4 or 8.
        channels: 1 or 3.

    Returns:
        uint8 `[height, width, channels]`. At ratio 1 the very pixels of the whole image.
    """

    def jpeg(at: int):
        return lambda: tf.io.decode_and_crop_jpeg(image, box, channels=channels, ratio=at)

    def jpeg_at_ratio() -> tf.Tensor:
        smaller = [(power, jpeg(2**power)) for power in (1, 2, 3)]
        power = sum(tf.cast(ratio >= 2**power, tf.int32) for power, _ in smaller)
        return tf.switch_case(power, [jpeg(1), *(branch for _, branch in smaller)])

    def other() -> tf.Tensor:
        pixels = tf.io.decode_image(image, channels=channels, expand_animations=False)
        pixels = tf.ensure_shape(pixels, [None, None, channels])
        top, left, height, width = tf.unstack(box * ratio)
        pixels = pixels[top : top + height, left : left + width]
        return tf.cond(tf.equal(ratio, 1), lambda: pixels, lambda: _means(pixels, box, ratio))

    return tf.ensure_shape(tf.cond(is_jpeg(image), jpeg_at_ratio, other), [None, None, channels])


def resize(pixels: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Brings pixels, uint8 `[height, width, C]`, to a size: bilinear, rounded."""
    # Half of the time of `tf.image.resize` and a rounding of its own: the sum is never above 255.5.
    resized = tf.raw_ops.ResizeBilinear(images=pixels[tf.newaxis], size=size, half_pixel_centers=True)[0]
    return tf.cast(resized + 0.5, tf.uint8)


def _means(pixels: tf.Tensor, box: tf.Tensor, ratio: tf.Tensor) -> tf.Tensor:
    """The means of squares of `ratio` x `ratio` pixels, uint8."""
    squares = tf.reshape(tf.cast(pixels, tf.float32), [box[2], ratio, box[3], ratio, tf.shape(pixels)[-1]])
    return tf.cast(tf.reduce_mean(squares, axis=[1, 3]) + 0.5, tf.uint8)


def _png_size(image: tf.Tensor) -> tf.Tensor:
    """https://www.w3.org/TR/png-3/#11IHDR: width and height, four bytes each, the highest first."""
    return tf.io.decode_raw(tf.strings.substr(image, 16, 8), tf.int32, little_endian=False)[::-1]


def _any_of(value: tf.Tensor, *wanted: int) -> tf.Tensor:
    return tf.reduce_any(tf.equal(value[:, tf.newaxis], tf.constant(wanted, value.dtype)), axis=1)
