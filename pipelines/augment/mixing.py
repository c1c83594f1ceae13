"""Mixing: examples 2i and 2i + 1 become blends of each other, and so do their labels."""

import functools

import numpy as np
import scipy.special
import tensorflow as tf

from base.errors import require
from pipelines.augment.batches import per_image
from pipelines.augment.draws import Draws
from pipelines.augment.erasing import rectangle
from pipelines.augment.mixing_steps import Cutmix, Mixup
from pipelines.augment.steps import Mixing

Parameters = dict[str, tf.Tensor]
_QUANTILES = 4096


@functools.singledispatch
def draw(step: Mixing, draws: Draws) -> Parameters:
    """The parameters of one step by name, tensors `[B]`, from the draws that the two of a pair have in common.

    `share` (float32): how much of itself an example keeps, 0 to 1.
    """
    raise TypeError(f"no mixing of {step!r}")


@functools.singledispatch
def apply(step: Mixing, images: tf.Tensor, label: tf.Tensor, parameters: Parameters) -> tuple[tf.Tensor, tf.Tensor]:
    """Mixed images and labels.

    Args:
        step: One of `mixing_steps`.
        images: float32 or bfloat16 `[B, H, W, C]`.
        label: float32 `[B, K]`.
        parameters: From `draw`, equal for the two of a pair.

    Returns:
        The same shapes and dtypes.

    Raises:
        InputError: B is odd.
    """
    raise TypeError(f"no mixing of {step!r}")


@draw.register
def _(step: Mixup, draws: Draws) -> Parameters:
    quantile, chance = draws.between((0, 1), (0, 1))
    return {"share": tf.where(chance < step.probability, beta(quantile, step.alpha), 1.0)}


@apply.register
def _(step: Mixup, images: tf.Tensor, label: tf.Tensor, parameters: Parameters) -> tuple[tf.Tensor, tf.Tensor]:
    share = per_image(parameters["share"])
    own, other = tf.cast(images, tf.float32), tf.cast(partners(images), tf.float32)
    mixed = share * own + (1 - share) * other
    return tf.cast(mixed, images.dtype), _mixed_label(label, parameters["share"])


@draw.register
def _(step: Cutmix, draws: Draws) -> Parameters:
    """x, y: the rectangle's centre, float32 `[B]`, 0 to 1."""
    quantile, x, y, chance = draws.between((0, 1), (0, 1), (0, 1), (0, 1))
    return {"share": tf.where(chance < step.probability, beta(quantile, step.alpha), 1.0), "x": x, "y": y}


@apply.register
def _(step: Cutmix, images: tf.Tensor, label: tf.Tensor, parameters: Parameters) -> tuple[tf.Tensor, tf.Tensor]:
    height, width = images.shape[1:3]
    side = tf.sqrt(1 - parameters["share"])

    def within(place: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
        # Whole pixels about any pixel; what would lie beyond the edge is cut off, and so counts for the other label.
        length = tf.floor(side * size)
        first = tf.floor(place * size) - tf.floor(length / 2)
        start = tf.maximum(first, 0)
        return start, tf.minimum(first + length, size) - start

    (top, box_height), (left, box_width) = within(parameters["y"], height), within(parameters["x"], width)
    inside = rectangle(height, width, top, left, box_height, box_width)
    share = 1 - box_height * box_width / (height * width)
    return tf.where(inside, partners(images), images), _mixed_label(label, share)


def partners(values: tf.Tensor) -> tf.Tensor:
    """`[B, ...]` with 2i and 2i + 1 exchanged.

    Raises:
        InputError: B is odd.
    """
    batch = values.shape[0]
    require(
        batch is None or batch % 2 == 0,
        "Expected an even number of examples in a replica's batch where pairs are mixed",
        batch=batch,
        do="Choose another batch size, or leave out mixup and cutmix.",
    )
    pairs = tf.reshape(values, [-1, 2, *values.shape[1:]])
    return tf.reshape(tf.reverse(pairs, axis=[1]), tf.shape(values))


def beta(uniform: tf.Tensor, alpha: float) -> tf.Tensor:
    """Values of Beta(alpha, alpha) from values uniform between 0 and 1, by the inverse of its distribution.

    Straight lines between 4,097 exact quantiles: the distribution is off by 1/4096 at most, and the same on every
    device. (`tf.random`'s gamma has no XLA kernel; a rejection sampler would need an unknown number of draws.)
    At `alpha` 0 it is 1: nothing is mixed.
    """
    if alpha == 0:
        return tf.ones_like(uniform)
    grid = np.linspace(0, 1, _QUANTILES + 1)
    table = tf.constant(scipy.special.betaincinv(alpha, alpha, grid), tf.float32)
    place = uniform * _QUANTILES
    first = tf.minimum(tf.floor(place), _QUANTILES - 1)
    at = tf.cast(first, tf.int32)
    low, high = tf.gather(table, at), tf.gather(table, at + 1)
    return low + (high - low) * (place - first)


def _mixed_label(label: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    return share[:, tf.newaxis] * label + (1 - share[:, tf.newaxis]) * partners(label)
