"""Photometric steps: how each is drawn, and how it changes the values of pixels."""

import functools
from typing import Any

import tensorflow as tf

from pipelines.augment.draws import Draws
from pipelines.augment.steps import Photometric


@functools.singledispatch
def draw(step: Photometric, draws: Draws) -> Any:
    """The parameters of one step, tensors `[B, ...]`."""
    raise TypeError(f"no photometry of {step!r}")


@functools.singledispatch
def apply(step: Photometric, images: tf.Tensor, parameters: Any) -> tf.Tensor:
    """The images, float32 or bfloat16 `[B, H, W, C]`, 0-255, with one step applied."""
    raise TypeError(f"no photometry of {step!r}")
