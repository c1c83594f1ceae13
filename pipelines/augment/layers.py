"""Augmentation as Keras layers: in a Sequential model, in `fit`, in `Dataset.map`; saved and loaded with the model.

keras.Sequential([layers.Flip(), layers.Rotation(degrees=20), ...])
keras.Sequential([layers.Augment("imagenet"), ...])
dataset.map(layers.Augment(["flip", {"zoom": {"scale": [0.9, 1.1]}}], seed=1))

Steps that share a layer share one warp, which is faster and sharper than a layer for each. A process that loads a model
with such a layer must have imported this module.
"""

import functools
import random
import typing
import zlib
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from base.errors import require
from pipelines.augment import erasing_steps, mixing_steps, pixel_steps, policy_steps, steps
from pipelines.augment.augmentation import mixed, pixels
from pipelines.augment.draws import Draws
from pipelines.augment.generator_options import GeneratorOptions
from pipelines.augment.policy import Policy, name_of, read_steps, step_of
from pipelines.augment.steps import Geometric, Step, to_mapping
from pipelines.augment.threefry import threefry2x32
from pipelines.augment.warp import Fill, Interpolation

# What `Augment` takes for its warp.
_FILLING = ("fill", "fill_value", "interpolation")
_registered = keras.saving.register_keras_serializable(package="millrace")


@_registered
class Augment(keras.layers.Layer):
    """The steps of a policy, in one layer. Identity where `training` is False, as in `evaluate` and `predict`.

    Every call and every example has draws of its own. As in Keras' own augmentations, `training` is True where nobody
    says otherwise, so that the layer works in `Dataset.map`.

    Args:
        steps: What a recipe's `augment` takes: a policy's name, steps by name, or a list of steps with their fields.
        fill: What is seen beyond an image's edge: nearest, constant, reflect or wrap.
        fill_value: Of `constant`, 0 to 255.
        interpolation: bilinear or nearest.
        seed: Of the draws, 0 to 2**31 - 1; None: another one each time. A layer that was loaded begins anew.
        **options: Of `keras.layers.Layer`.

    Input: uint8 or floating `[B, H, W, C]` or `[H, W, C]`, 0-255, H and W known; where steps mix examples, that and
    float `[B, classes]`, the labels, one-hot, in a pair. Output: the same, in the layer's compute dtype.

    Raises:
        InputError: Unknown steps or fields, or values out of range.
    """

    def __init__(
        self,
        steps: str | Sequence[Any],
        *,
        fill: Fill = "nearest",
        fill_value: float = 0.0,
        interpolation: Interpolation = "bilinear",
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(autocast=False, **options)
        read = tuple(steps) if all(isinstance(step, Step) for step in steps) else read_steps(steps)
        require(len(read) > 0, "Expected steps", steps=steps)
        require(fill in typing.get_args(Fill), f"Expected fill among {typing.get_args(Fill)}", fill=fill)
        require(0 <= fill_value <= 255, "Expected fill_value from 0 to 255", fill_value=fill_value)
        known = typing.get_args(Interpolation)
        require(interpolation in known, f"Expected interpolation among {known}", interpolation=interpolation)
        require(seed is None or 0 <= seed < 2**31, "Expected a seed from 0 to 2**31 - 1", seed=seed)
        self.policy = Policy(steps=read, fill=fill, fill_value=fill_value, interpolation=interpolation)
        self.seed = seed
        # It counts calls in one indivisible operation: calls that run side by side, as `Dataset.map` has them, never
        # get the same numbers. (Keras' SeedGenerator reads, then writes.)
        self._calls = tf.random.Generator.from_seed(random.randrange(2**31) if seed is None else seed)

    def call(self, inputs: Any, training: bool = True) -> Any:
        """See the class."""
        images, labels = inputs if isinstance(inputs, (list, tuple)) else (inputs, None)
        if training:
            images, labels = self._augmented(tf.convert_to_tensor(images), labels)
        images = tf.cast(images, self.compute_dtype)
        return images if labels is None else (images, tf.cast(labels, self.compute_dtype))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """What comes out has the shape of what goes in."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """What `from_config` makes the same layer of."""
        return {
            **super().get_config(),
            "steps": [{name_of(step): to_mapping(step)} for step in self.policy.steps],
            "fill": self.policy.fill,
            "fill_value": self.policy.fill_value,
            "interpolation": self.policy.interpolation,
            "seed": self.seed,
        }

    def _augmented(self, images: tf.Tensor, labels: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor | None]:
        single = images.shape.rank == 3
        images = images[tf.newaxis] if single else images
        require(
            images.shape.rank == 4 and None not in images.shape[1:],
            f"Expected images [B, H, W, C] or [H, W, C] of one known size in {self.name}",
            shape=tuple(images.shape),
        )
        require(
            labels is not None or not self.policy.mixes,
            f"Expected (images, one-hot labels) in {self.name}, which mixes examples",
        )
        if images.dtype not in (tf.uint8, tf.bfloat16, tf.float32):
            images = tf.cast(images, tf.float32)
        dtype = "bfloat16" if self.compute_dtype == "bfloat16" else "float32"
        key = self._calls.uniform_full_int([2], tf.uint32)
        images, labels = _compiled(self.policy, dtype)(images, labels, key)
        return images[0] if single else images, labels


class _OneStep(Augment):
    """A layer of one step: takes the step's fields, `seed`, and, where it moves pixels, the options of filling."""

    STEP: type[Step]

    def __init__(
        self,
        *,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
        trainable: bool = True,
        **fields: Any,
    ) -> None:
        # Where nothing moves, `fill_value` is the step's own: the colour of what is erased.
        moves = issubclass(self.STEP, Geometric)
        filling = {key: fields.pop(key) for key in _FILLING if moves and key in fields}
        step = step_of(name_of(self.STEP), fields)
        super().__init__([step], **filling, seed=seed, name=name, dtype=dtype, trainable=trainable)

    def get_config(self) -> dict[str, Any]:
        """See `Augment`."""
        (step,) = self.policy.steps
        left_out = ("steps",) if isinstance(step, Geometric) else ("steps", *_FILLING)
        return _without(super().get_config(), left_out) | to_mapping(step)


def _layer_of(step: type[Step]) -> type[_OneStep]:
    layer = type(step.__name__, (_OneStep,), {"STEP": step, "__doc__": step.__doc__, "__module__": __name__})
    return _registered(layer)


Flip = _layer_of(steps.Flip)
Rotation = _layer_of(steps.Rotation)
Zoom = _layer_of(steps.Zoom)
Shift = _layer_of(steps.Shift)
Shear = _layer_of(steps.Shear)
Crop = _layer_of(steps.Crop)
RandomResizedCrop = _layer_of(steps.RandomResizedCrop)
Brightness = _layer_of(pixel_steps.Brightness)
Contrast = _layer_of(pixel_steps.Contrast)
Saturation = _layer_of(pixel_steps.Saturation)
Hue = _layer_of(pixel_steps.Hue)
ColorJitter = _layer_of(pixel_steps.ColorJitter)
Grayscale = _layer_of(pixel_steps.Grayscale)
Invert = _layer_of(pixel_steps.Invert)
Equalize = _layer_of(pixel_steps.Equalize)
AutoContrast = _layer_of(pixel_steps.AutoContrast)
Solarize = _layer_of(pixel_steps.Solarize)
Posterize = _layer_of(pixel_steps.Posterize)
Sharpness = _layer_of(pixel_steps.Sharpness)
Blur = _layer_of(pixel_steps.Blur)
ChannelShift = _layer_of(pixel_steps.ChannelShift)
RandomErasing = _layer_of(erasing_steps.RandomErasing)
Cutout = _layer_of(erasing_steps.Cutout)
RandAugment = _layer_of(policy_steps.RandAugment)
TrivialAugment = _layer_of(policy_steps.TrivialAugment)
AutoAugment = _layer_of(policy_steps.AutoAugment)
Mixup = _layer_of(mixing_steps.Mixup)
Cutmix = _layer_of(mixing_steps.Cutmix)


@_registered
class FromGenerator(Augment):
    """What Keras' `ImageDataGenerator` draws, as a layer that takes its options by their names.

    Not those that standardise: layers for that have no draws, and belong behind this one.

    Example:
        >>> FromGenerator(rotation_range=40, zoom_range=0.2, horizontal_flip=True).policy.describe()
        'generator_affine, flip'
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
        trainable: bool = True,
        **options: Any,
    ) -> None:
        options = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
        read = GeneratorOptions(**options)
        require(
            not read.standardises,
            "Expected options that draw. Standardise in layers of their own: keras.layers.Rescaling, Normalization",
            **options,
        )
        fill = {"fill": read.fill_mode, "fill_value": read.cval}
        super().__init__(read.steps(), **fill, seed=seed, name=name, dtype=dtype, trainable=trainable)
        self.options = options

    def get_config(self) -> dict[str, Any]:
        """See `Augment`."""
        options = {key: list(value) if isinstance(value, tuple) else value for key, value in self.options.items()}
        return _without(super().get_config(), ("steps", *_FILLING)) | options


def _without(config: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in names}


@functools.cache
def _compiled(policy: Policy, dtype: str) -> Any:
    """Images, labels or None, and a call's key, uint32 `[2]` -> images and labels; by XLA wherever it runs."""
    # Two layers of one seed in one model draw apart, unless they do the same.
    layer = zlib.crc32(repr(policy.steps).encode())

    def augmented(images: tf.Tensor, labels: tf.Tensor | None, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        place = tf.range(tf.shape(images)[0])
        draws = Draws(threefry2x32((key[0], key[1]), (tf.cast(place, tf.uint32), tf.constant(layer, tf.uint32))))
        images = pixels(policy, images, draws, tuple(images.shape[1:3]), dtype=tf.as_dtype(dtype))
        return mixed(policy, images, labels, draws) if policy.mixes else (images, labels)

    return tf.function(augmented, jit_compile=True, autograph=False)
