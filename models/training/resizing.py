"""Progressive resizing: epochs on smaller images, through twins of the model that share its weights.

Reading and augmentation stay as they are; their images are made smaller in the compiled step. A model of another input
size is another graph of the same layers: the twin, whose forward pass is called with the main model's variables.
"""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from base.errors import InputError, require
from models.training.hardware import Hardware
from models.training.normalization import synchronize
from models.training.resizing_options import ResizingOptions

Batch = dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Stage:
    """Epochs at one size.

    Attributes:
        until: Epochs of the run that are done when it ends.
        forward: The model whose forward pass is called, with the variables of the one that is trained.
        size: (height, width) that training images are brought to; None: they have the size.
    """

    until: float
    forward: keras.Model
    size: tuple[int, int] | None = None

    def augmented(self, augment: Callable[[Batch], Batch] | None) -> Callable[[Batch], Batch] | None:
        """`augment`, and then the images' size."""
        if self.size is None:
            return augment

        def both(batch: Batch) -> Batch:
            batch = augment(batch) if augment else batch
            return {**batch, "image": resized(batch["image"], self.size)}

        return both


def build_stages(
    options: ResizingOptions,
    model: keras.Model,
    shape: tuple[int, int, int],
    hardware: Hardware,
    build: Callable[[tuple[int, int, int]], keras.Model],
) -> list[Stage]:
    """The stages that the options ask for, but the last one.

    Args:
        options: Shares and epochs.
        model: The one that is trained.
        shape: (height, width, channels) that it is built for.
        hardware: What it runs on.
        build: Builds the same model for another shape; called under the strategy's scope, after `model` was built, so
            that what it draws at random leaves that one as it is.

    Raises:
        InputError: A model that can't be built smaller, or whose variables depend on the size.
    """
    height, width, channels = shape
    stages = []
    for share, until in options.stages:
        size = max(1, round(share * height)), max(1, round(share * width))
        try:
            with hardware.strategy.scope():
                twin = build((*size, channels))
        except ValueError as error:
            raise InputError(
                f"Expected a model that can be built for {size[0]}x{size[1]} images, as --progressive-resizing "
                f"{share:g}:{until} has them. {str(error).splitlines()[0]}"
            ) from error
        if hardware.synchronized:
            synchronize(twin)
        _require_same_variables(model, twin, f"{size[0]}x{size[1]}")
        stages.append(Stage(until, twin, size))
    return stages


def resized(images: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Images of another size: linear, antialiased, as `tf.image.resize(..., antialias=True)`, as two multiplications.

    Args:
        images: `[B, H, W, C]`, H and W static.
        size: (height, width).

    Returns:
        `[B, height, width, C]`, float32, or the images' own type where they are of floats; not rounded.
    """
    dtype = images.dtype if images.dtype.is_floating else tf.float32
    rows, columns = (
        tf.constant(_shares(old, new), tf.float32) for old, new in zip(images.shape[1:3], size, strict=True)
    )
    smaller = tf.einsum("ph,bhwc->bpwc", rows, tf.cast(images, tf.float32))
    return tf.cast(tf.einsum("qw,bpwc->bpqc", columns, smaller), dtype)


def _shares(old: int, new: int) -> np.ndarray:
    """How much each of `old` pixels in a row counts in each of `new` ones: `[new, old]`, rows add up to 1.

    A triangle about the new pixel's centre, as wide as two new pixels, or two old ones where these are wider.
    """
    ratio = old / new
    centre = (np.arange(new)[:, None] + 0.5) * ratio
    distance = np.abs(np.arange(old) + 0.5 - centre) / max(ratio, 1.0)
    shares = np.maximum(0.0, 1.0 - distance)
    return shares / shares.sum(axis=1, keepdims=True)


def _require_same_variables(model: keras.Model, twin: keras.Model, size: str) -> None:
    for kind in ("trainable_variables", "non_trainable_variables"):
        pairs = list(zip(getattr(model, kind), getattr(twin, kind), strict=False))
        other = [
            f"{own.path} {tuple(own.shape)} and {tuple(its.shape)}" for own, its in pairs if own.shape != its.shape
        ]
        same = len(getattr(model, kind)) == len(getattr(twin, kind))
        require(
            same and not other,
            "Expected with --progressive-resizing a model whose variables do not depend on the image size",
            at=size,
            differing=other[0] if other else f"the number of {kind.replace('_', ' ')}",
            do="Pool over all places before the dense layers, as --flatten average does.",
        )
