"""Geometric steps as matrices: drawn for each image, multiplied, and handed to the one warp.

A matrix `[B, 2, 3]` takes a place of the output to the place of the input that it shows. Places are x (to the right), y
(downwards) in pixels, from the centre of each frame.
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from pipelines.augment import steps
from pipelines.augment.draws import Draws


class Frame(NamedTuple):
    """The size of what a step is given, and of what the model sees, in pixels."""

    height: int
    width: int
    out_height: int
    out_width: int


def matrices(chain: Sequence[steps.Geometric], draws: Sequence[Draws], frame: Frame) -> tf.Tensor:
    """One matrix for all steps of a chain: their product.

    Args:
        chain: At least one step.
        draws: Of each step.
        frame: Of the first step; all later ones see the model's size.

    Returns:
        float32 `[B, 2, 3]`.
    """
    product = None
    for step, own in zip(chain, draws, strict=True):
        matrix = draw(step, own, frame)
        product = matrix if product is None else _multiplied(product, matrix)
        frame = Frame(frame.out_height, frame.out_width, frame.out_height, frame.out_width)
    return product


@functools.singledispatch
def draw(step: steps.Geometric, draws: Draws, frame: Frame) -> tf.Tensor:
    """The matrices of one step, float32 `[B, 2, 3]`."""
    raise TypeError(f"no geometry of {step!r}")


@draw.register
def _(step: steps.Flip, draws: Draws, frame: Frame) -> tf.Tensor:
    chosen = draws.uniform(2) < 0.5
    x = tf.where(chosen[:, 0], -1.0, 1.0) if step.horizontal else tf.ones_like(chosen[:, 0], tf.float32)
    y = tf.where(chosen[:, 1], -1.0, 1.0) if step.vertical else tf.ones_like(chosen[:, 1], tf.float32)
    return scaling(x, y)


@draw.register
def _(step: steps.Rotation, draws: Draws, frame: Frame) -> tf.Tensor:
    (degrees,) = draws.between((-step.degrees, step.degrees))
    return rotation(degrees * (math.pi / 180))


@draw.register
def _(step: steps.Zoom, draws: Draws, frame: Frame) -> tf.Tensor:
    # Uniform on the logarithmic scale: twice as large is as likely as half.
    low, high = (math.log(factor) for factor in step.scale)
    x, y = draws.between((low, high), (low, high))
    return scaling(tf.exp(-x), tf.exp(-x if step.keep_aspect else -y))


@draw.register
def _(step: steps.Shift, draws: Draws, frame: Frame) -> tf.Tensor:
    x, y = draws.between((-step.width, step.width), (-step.height, step.height))
    return translation(x * frame.out_width, y * frame.out_height)


@draw.register
def _(step: steps.Shear, draws: Draws, frame: Frame) -> tf.Tensor:
    x, y = draws.between((-step.x, step.x), (-step.y, step.y))
    return shearing(tf.tan(x * (math.pi / 180)), tf.tan(y * (math.pi / 180)))


@draw.register
def _(step: steps.Crop, draws: Draws, frame: Frame) -> tf.Tensor:
    def place(uniform: tf.Tensor, size: int, out: int) -> tf.Tensor:
        # Whole pixels: one of the places at which the window lies in the padded image.
        places = size + 2 * step.padding - out + 1
        corner = tf.minimum(tf.floor(uniform * places), places - 1) - step.padding
        return corner + (out - size) / 2

    uniform = draws.uniform(2)
    return translation(
        place(uniform[:, 0], frame.width, frame.out_width), place(uniform[:, 1], frame.height, frame.out_height)
    )


@draw.register
def _(step: steps.RandomResizedCrop, draws: Draws, frame: Frame) -> tf.Tensor:
    ones = tf.ones_like(draws.keys[0], tf.float32)
    top, left, height, width = crop_boxes(step, draws, frame.height * ones, frame.width * ones)
    x, y = left + width / 2 - frame.width / 2, top + height / 2 - frame.height / 2
    scaled = scaling(width / frame.out_width, height / frame.out_height)
    return scaled + translation(x, y) - scaling(ones, ones)


def crop_boxes(
    step: steps.RandomResizedCrop, draws: Draws, height: tf.Tensor, width: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """The windows of a random-resized-crop, in whole pixels; the reader cuts them out while it decodes.

    A window that would not fit is cut to the image. (Drawing again until it fits, as others do, would need an unknown
    number of draws.)

    Args:
        step: Its ranges.
        draws: The step's own.
        height: float32 `[B]`, pixels, of the images.
        width: The same.

    Returns:
        top, left, height, width: float32 `[B]` each, whole numbers; at least 1 pixel by 1, inside the image.
    """
    uniform = draws.uniform(4)
    low, high = step.area
    area = (low + (high - low) * uniform[:, 0]) * height * width
    low, high = (math.log(aspect) for aspect in step.aspect)
    aspect = tf.exp(low + (high - low) * uniform[:, 1])
    box_width = tf.clip_by_value(tf.round(tf.sqrt(area * aspect)), 1, width)
    box_height = tf.clip_by_value(tf.round(tf.sqrt(area / aspect)), 1, height)
    left = tf.minimum(tf.floor(uniform[:, 2] * (width - box_width + 1)), width - box_width)
    top = tf.minimum(tf.floor(uniform[:, 3] * (height - box_height + 1)), height - box_height)
    return top, left, box_height, box_width


def scaling(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Output places times x, y."""
    zero = tf.zeros_like(x)
    return _matrix(x, zero, zero, zero, y, zero)


def translation(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Output places plus x, y."""
    zero, one = tf.zeros_like(x), tf.ones_like(x)
    return _matrix(one, zero, x, zero, one, y)


def rotation(radians: tf.Tensor) -> tf.Tensor:
    """Shows the image turned clockwise by -radians: output places turn clockwise by `radians`."""
    zero, cos, sin = tf.zeros_like(radians), tf.cos(radians), tf.sin(radians)
    return _matrix(cos, -sin, zero, sin, cos, zero)


def shearing(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Places slide by x a row, and by y a column."""
    zero, one = tf.zeros_like(x), tf.ones_like(x)
    return _matrix(one, x, zero, y, one, zero)


def _matrix(*entries: tf.Tensor) -> tf.Tensor:
    return tf.reshape(tf.stack(entries, axis=-1), [-1, 2, 3])


def _multiplied(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """The map that takes an output's place through `second`, then through `first`.

    Written out: a batched matrix product of such small matrices goes through slow general kernels.
    """
    a, b = first, second
    rows = [
        [a[:, i, 0] * b[:, 0, j] + a[:, i, 1] * b[:, 1, j] + (a[:, i, 2] if j == 2 else 0.0) for j in range(3)]
        for i in range(2)
    ]
    return _matrix(*rows[0], *rows[1])
