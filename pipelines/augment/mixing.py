"""Mixing: examples 2i and 2i + 1 become blends of each other, and so do their labels."""

import functools
from typing import Any

import tensorflow as tf

from pipelines.augment.draws import Draws
from pipelines.augment.steps import Mixing


@functools.singledispatch
def draw(step: Mixing, draws: Draws) -> Any:
    """The parameters of one step, tensors `[B, ...]`, from the draws that the two of a pair have in common."""
    raise TypeError(f"no mixing of {step!r}")


@functools.singledispatch
def apply(step: Mixing, images: tf.Tensor, label: tf.Tensor, parameters: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Images `[B, H, W, C]` and labels `[B, K]`, mixed."""
    raise TypeError(f"no mixing of {step!r}")
