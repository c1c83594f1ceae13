"""The published policies: which operations each image draws, layer by layer."""

import numpy as np
import tensorflow as tf

from pipelines.augment.draws import Draws
from pipelines.augment.operations import NUMBER, Ranges, changed
from pipelines.augment.policy_steps import MAGNITUDES, PAIRS, AutoAugment, RandAugment, TrivialAugment

Parameters = dict[str, tf.Tensor]
RANGES = Ranges(shear=0.3, translate=150 / 331, rotate=30, blend=0.9, posterize=4)
WIDE_RANGES = Ranges(shear=0.99, translate=32, rotate=135, blend=0.99, posterize=6)  # TrivialAugment's
_CHOICES = NUMBER["invert"]  # RandAugment and TrivialAugment choose from all before it


def draw_rand_augment(step: RandAugment, draws: Draws) -> Parameters:
    """operation: int32 `[B, layers]`. level: float32 `[B, layers]`, -1 to 1."""
    which, sign = tf.split(draws.uniform(2 * step.layers), 2, axis=1)
    level = tf.where(sign < 0.5, -1.0, 1.0) * (step.magnitude / MAGNITUDES)
    return {"operation": _choice(which, _CHOICES), "level": level}


def draw_trivial_augment(step: TrivialAugment, draws: Draws) -> Parameters:
    """As `draw_rand_augment` with one layer."""
    which, sign, magnitude = tf.split(draws.uniform(3), 3, axis=1)
    level = tf.cast(_choice(magnitude, MAGNITUDES + 1), tf.float32) * (step.magnitude / MAGNITUDES**2)
    return {"operation": _choice(which, _CHOICES), "level": tf.where(sign < 0.5, -level, level)}


def draw_auto_augment(step: AutoAugment, draws: Draws) -> Parameters:
    """As `draw_rand_augment` with two layers; `level` up to `step.magnitude`."""
    which, chance, sign = tf.split(draws.uniform(5), [1, 2, 2], axis=1)
    pairs = PAIRS[step.policy]
    pair = _choice(which[:, 0], len(pairs))

    def column(number: int, dtype: tf.DType) -> tf.Tensor:
        table = np.array([[operation[number] for operation in pair] for pair in numbered])
        return tf.gather(tf.constant(table, dtype), pair)

    numbered = [[(NUMBER[name], chance, level) for name, chance, level in pair] for pair in pairs]
    operation = tf.where(chance < column(1, tf.float32), column(0, tf.int32), NUMBER["identity"])
    level = column(2, tf.float32) * step.magnitude
    return {"operation": operation, "level": tf.where(sign < 0.5, -level, level)}


def augmented(step: RandAugment | TrivialAugment | AutoAugment, images: tf.Tensor, parameters: Parameters) -> tf.Tensor:
    """float32 images `[B, H, W, C]`, 0-255, with the drawn operations applied, one layer after the other."""
    ranges = WIDE_RANGES if isinstance(step, TrivialAugment) else RANGES
    for layer in range(parameters["operation"].shape[1]):
        operation, level = (parameters[name][:, layer] for name in ("operation", "level"))
        images = changed(images, operation, level, ranges, step.fill_value)
    return images


def _choice(uniform: tf.Tensor, count: int) -> tf.Tensor:
    """int32 from 0 to below `count`, each as likely."""
    return tf.minimum(tf.cast(uniform * count, tf.int32), count - 1)
