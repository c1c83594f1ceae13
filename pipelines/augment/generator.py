"""How the step behind `ImageDataGenerator`'s geometric options is drawn and applied: as Keras 3.15 does it.

One thing differs on purpose. Since Keras counts places as x, y, its `height_shift_range` has moved images sideways and
its `width_shift_range` up and down, and in images that are not square nothing turns about the centre. Here the options
do what their names say.
"""

import math
from typing import NamedTuple

import tensorflow as tf

from pipelines.augment import geometry
from pipelines.augment.draws import Draws
from pipelines.augment.generator_steps import GeneratorAffine, ShiftRange


class Affine(NamedTuple):
    """What is drawn for each image, float32 `[B]` each."""

    degrees: tf.Tensor
    x: tf.Tensor  # pixels
    y: tf.Tensor
    shear: tf.Tensor  # degrees
    zoom_x: tf.Tensor
    zoom_y: tf.Tensor


def affine_parameters(step: GeneratorAffine, draws: Draws, frame: geometry.Frame) -> Affine:
    """The draws of one step, distributed as `ImageDataGenerator.get_random_transform` has them."""
    uniform = draws.uniform(8)
    low, high = step.zoom
    return Affine(
        degrees=_either_way(step.rotation, uniform[:, 0]),
        x=_shifted(step.width_shift, uniform[:, 1], uniform[:, 2], frame.out_width),
        y=_shifted(step.height_shift, uniform[:, 3], uniform[:, 4], frame.out_height),
        shear=_either_way(step.shear, uniform[:, 5]),
        zoom_x=low + (high - low) * uniform[:, 6],
        zoom_y=low + (high - low) * uniform[:, 7],
    )


def affine_matrices(parameters: Affine) -> tf.Tensor:
    """float32 `[B, 2, 3]`, see `geometry`: an output's place is zoomed, slanted, shifted, and then turned."""
    angle, slant = parameters.degrees * (math.pi / 180), parameters.shear * (math.pi / 180)
    cos, sin = tf.cos(angle), tf.sin(angle)
    # Keras' shear: rows slide by the sine of the angle, and come closer by its cosine.
    xy, yy = -tf.sin(slant), tf.cos(slant)
    entries = [
        cos * parameters.zoom_x,
        (cos * xy - sin * yy) * parameters.zoom_y,
        cos * parameters.x - sin * parameters.y,
        sin * parameters.zoom_x,
        (sin * xy + cos * yy) * parameters.zoom_y,
        sin * parameters.x + cos * parameters.y,
    ]
    return tf.reshape(tf.stack(entries, axis=-1), [-1, 2, 3])


@geometry.draw.register
def _(step: GeneratorAffine, draws: Draws, frame: geometry.Frame) -> tf.Tensor:
    return affine_matrices(affine_parameters(step, draws, frame))


def _either_way(most: float, uniform: tf.Tensor) -> tf.Tensor:
    return most * (2 * uniform - 1)


def _shifted(along: ShiftRange, uniform: tf.Tensor, sign: tf.Tensor, size: int) -> tf.Tensor:
    if along.values:
        number = tf.cast(uniform * len(along.values), tf.int32)
        # A product with the largest uniform number may be rounded up to the count itself.
        value = tf.gather(tf.constant(along.values, tf.float32), tf.minimum(number, len(along.values) - 1))
        shift = tf.where(sign < 0.5, -value, value)
    else:
        shift = _either_way(along.most, uniform)
    return shift * size if along.of_size else shift
