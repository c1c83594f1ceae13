"""Photometric steps: how each is drawn, and how it changes the values of pixels."""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from pipelines.augment import color, erasing, histogram, neighbours, policies, tone
from pipelines.augment import pixel_steps as steps
from pipelines.augment.batches import change_chosen, where
from pipelines.augment.draws import Draws
from pipelines.augment.erasing_steps import Cutout, RandomErasing
from pipelines.augment.policy_steps import AutoAugment, RandAugment, TrivialAugment
from pipelines.augment.steps import Photometric

Parameters = dict[str, tf.Tensor]
_PARTS = 8  # rounds that would take the whole batch, where only chosen images are changed
_EQUALIZE_PARTS = 64  # fewer too many: its cost is the images


@functools.singledispatch
def draw(step: Photometric, draws: Draws) -> Parameters:
    """The parameters of one step by name, tensors `[B]` or `[B, layers]`.

    `chosen` (bool): whether the image is changed at all. `factor` (float32): 1 changes nothing. Of the others, what
    the function that takes them says.
    """
    raise TypeError(f"no photometry of {step!r}")


@functools.singledispatch
def apply(step: Photometric, images: tf.Tensor, parameters: Parameters) -> tf.Tensor:
    """The images with one step applied.

    Args:
        step: One of `pixel_steps`, `erasing_steps` or `policy_steps`.
        images: float32 or bfloat16 `[B, H, W, C]`, 0-255. The arithmetic is float32 whatever they are.
        parameters: From `draw`.

    Returns:
        Like `images`: 0-255, and not rounded unless the step says so.
    """
    raise TypeError(f"no photometry of {step!r}")


def _in_float32(change: Callable[[Any, tf.Tensor, Parameters], tf.Tensor]) -> Callable[..., tf.Tensor]:
    @functools.wraps(change)
    def with_casts(step: Any, images: tf.Tensor, parameters: Parameters) -> tf.Tensor:
        return tf.cast(change(step, tf.cast(images, tf.float32), parameters), images.dtype)

    return with_casts


@draw.register
def _(step: steps.Brightness | steps.Contrast | steps.Saturation, draws: Draws) -> Parameters:
    return {"factor": draws.between(step.factor)[0]}


@apply.register
@_in_float32
def _(step: steps.Brightness, images: tf.Tensor, parameters: Parameters) -> tf.Tensor:
    return tone.brightened(images, **parameters)


@apply.register
@_in_float32
def _(step: steps.Contrast, images: tf.Tensor, parameters: Parameters) -> tf.Tensor:
    return tone.contrasted(images, **parameters)


@apply.register
@_in_float32
def _(step: steps.Saturation, images: tf.Tensor, parameters: Parameters) -> tf.Tensor:
    return color.saturated(images, **parameters)


@draw.register
def _(step: steps.Hue, draws: Draws) -> Parameters:
    return {"turn": draws.between((-step.shift, step.shift))[0]}


@apply.register
@_in_float32
def _(step: steps.Hue, images: tf.Tensor, parameters: Parameters) -> tf.Tensor:
    return color.hue_turned(images, **parameters)


@draw.register
def _(step: steps.ColorJitter, draws: Draws) -> Parameters:
    ranges = [(max(1 - x, 0.0), 1 + x) for x in (step.brightness, step.contrast, step.saturation)]
    drawn = draws.between(*ranges, (-step.hue, step.hue))
    return dict(zip(("brightness", "contrast", "saturation", "hue"), drawn, strict=True))


@apply.register
@_in_float32
def _(step: steps.ColorJitter, images: tf.Tensor, parameters: Parameters) -> tf.Tensor:
    images = tone.brightened(images, parameters["brightness"])
    images = tone.contrasted(images, parameters["contrast"])
    images = color.saturated(images, parameters["saturation"])
    return color.hue_turned(images, parameters["hue"]) if step.hue else images


@draw.register
def _(
    step: steps.Grayscale | steps.Invert | steps.Equalize | steps.AutoContrast | steps.Solarize | steps.Posterize,
    draws: Draws,
) -> Parameters:
    return {"chosen": draws.uniform(1)[:, 0] < step.probability}


@apply.register
@_in_float32
def _(step: steps.Grayscale, images: tf.Tensor, parameters: Parameters) -> tf.Tensor:
    return color.saturated(images, tf.where(parameters["chosen"], 0.0, 1.0))


@apply.register
@_in_float32
def _(step: steps.Invert, images: tf.Tensor, parameters: Parameters) -> tf.Tensor:
    return where(parameters["chosen"], tone.inverted(images), images)


@apply.register
@_in_float32
def _(step: steps.Equalize, images: tf.Tensor, parameters: Parameters) -> tf.Tensor:
    return change_chosen(
        images, parameters["chosen"], lambda all, at: histogram.equalized(tf.gather(all, at)), _EQUALIZE_PARTS
    )


@apply.register
@_in_float32
def _(step: steps.AutoContrast, images: tf.Tensor, parameters: Parameters) -> tf.Tensor:
    return where(parameters["chosen"], tone.autocontrasted(images), images)


@apply.register
@_in_float32
def _(step: steps.Solarize, images: tf.Tensor, parameters: Parameters) -> tf.Tensor:
    return tone.solarized(images, tf.where(parameters["chosen"], step.threshold, 256.0))


@apply.register
@_in_float32
def _(step: steps.Posterize, images: tf.Tensor, parameters: Parameters) -> tf.Tensor:
    bits = tf.fill(tf.shape(parameters["chosen"]), float(step.bits))
    return where(parameters["chosen"], tone.posterized(images, bits), images)


@draw.register
def _(step: steps.Sharpness, draws: Draws) -> Parameters:
    factor, chance = draws.between(step.factor, (0, 1))
    return {"factor": tf.where(chance < step.probability, factor, 1.0)}


@apply.register
@_in_float32
def _(step: steps.Sharpness, images: tf.Tensor, parameters: Parameters) -> tf.Tensor:
    return neighbours.sharpened(images, **parameters)


@draw.register
def _(step: steps.Blur, draws: Draws) -> Parameters:
    sigma, chance = draws.between(step.sigma, (0, 1))
    return {"sigma": sigma, "chosen": chance < step.probability}


@apply.register
@_in_float32
def _(step: steps.Blur, images: tf.Tensor, parameters: Parameters) -> tf.Tensor:
    sigma = parameters["sigma"]

    def change(images: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
        return neighbours.blurred(tf.gather(images, at), tf.gather(sigma, at), step.sigma[1])

    return change_chosen(images, parameters["chosen"], change, _PARTS)


@draw.register
def _(step: steps.ChannelShift, draws: Draws) -> Parameters:
    return {"shift": draws.between((-step.shift, step.shift))[0]}


@apply.register
@_in_float32
def _(step: steps.ChannelShift, images: tf.Tensor, parameters: Parameters) -> tf.Tensor:
    return tone.shifted(images, **parameters)


draw.register(RandomErasing, erasing.draw_rectangle)
draw.register(Cutout, erasing.draw_square)
apply.register(RandomErasing, erasing.erase_rectangle)
apply.register(Cutout, erasing.erase_square)
draw.register(RandAugment, policies.draw_rand_augment)
draw.register(TrivialAugment, policies.draw_trivial_augment)
draw.register(AutoAugment, policies.draw_auto_augment)
for _policy in (RandAugment, TrivialAugment, AutoAugment):
    apply.register(_policy, _in_float32(policies.augmented))
