"""A policy at work: a batch in, the augmented batch out, as one pure function of the batch and the seed."""

from typing import NamedTuple

import tensorflow as tf

import pipelines.augment.generator  # noqa: F401  its steps are registered
from pipelines.augment import geometry, mixing, photometry
from pipelines.augment.draws import Draws, draws_of
from pipelines.augment.policy import Policy
from pipelines.augment.steps import Geometric, Mixing, Photometric, RandomResizedCrop
from pipelines.augment.warp import warp

Batch = dict[str, tf.Tensor]


class Augmentation:
    """Augments batches.

    Args:
        policy: The steps.
        seed: Of the run.
        image_size: (height, width) that the model sees.
        classes: How many there are: what labels become when examples are mixed.
        dtype: Of the pixels: float32 or bfloat16.
        cropped: Whether the reader has cut out the random-resized-crop while decoding.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        seed: int,
        image_size: tuple[int, int],
        classes: int,
        dtype: tf.DType = tf.float32,
        cropped: bool = False,
    ) -> None:
        self.policy = policy
        self._seed = seed
        self._size = image_size
        self._classes = classes
        self._dtype = tf.as_dtype(dtype)
        self._cropped = cropped

    def __call__(self, batch: Batch) -> Batch:
        """The batch with other pixels, `dtype` `[B, height, width, C]`, 0-255, not rounded.

        `label` becomes float32 `[B, classes]` where the policy mixes examples. To be compiled by XLA.
        """
        draws = draws_of(self._seed, batch["epoch"], batch["index"])
        images = pixels(self.policy, batch["image"], draws, self._size, cropped=self._cropped, dtype=self._dtype)
        label = batch["label"]
        if self.policy.of_kind(Mixing):
            images, label = mixed(self.policy, images, tf.one_hot(label, self._classes), draws)
        return {**batch, "image": images, "label": label}


def pixels(
    policy: Policy,
    images: tf.Tensor,
    draws: Draws,
    size: tuple[int, int],
    *,
    cropped: bool = False,
    dtype: tf.DType = tf.float32,
) -> tf.Tensor:
    """All steps of a policy that do not mix examples.

    Args:
        policy: The steps.
        images: uint8, bfloat16 or float32 `[B, H, W, C]`, 0-255, H and W static.
        draws: Of the examples.
        size: (height, width) of the result.
        cropped: As `Augmentation` has it.
        dtype: Of the result: float32 or bfloat16.

    Returns:
        `dtype` `[B, height, width, C]`, 0-255.
    """
    chain = [
        (place, step)
        for place, step in policy.of_kind(Geometric)
        if not (cropped and isinstance(step, RandomResizedCrop))
    ]
    if chain:
        own = [draws.stream(place) for place, _ in chain]
        frame = geometry.Frame(*images.shape[1:3], *size)
        moves = [step for _, step in chain]
        images = warp(
            images,
            geometry.matrices(moves, own, frame),
            size,
            fill=policy.fill,
            fill_value=policy.fill_value,
            interpolation=policy.interpolation,
            dtype=dtype,
        )
    images = tf.cast(images, dtype)
    for place, step in policy.of_kind(Photometric):
        own = draws.stream(place)
        images = photometry.apply(step, images, photometry.draw(step, own))
    return images


def mixed(policy: Policy, images: tf.Tensor, label: tf.Tensor, draws: Draws) -> tuple[tf.Tensor, tf.Tensor]:
    """The steps of a policy that mix each example 2i with 2i + 1.

    Args:
        policy: The steps.
        images: `[B, H, W, C]`, B static and even.
        label: float32 `[B, classes]`.
        draws: Of the examples.
    """
    for place, step in policy.of_kind(Mixing):
        own = draws.of_pairs().stream(place)
        images, label = mixing.apply(step, images, label, mixing.draw(step, own))
    return images, label


class HostCrop(NamedTuple):
    """The random-resized-crop of a policy, for a reader that cuts it out while decoding."""

    step: RandomResizedCrop
    place: int  # in its policy
    seed: int

    def boxes(self, epoch: tf.Tensor, index: tf.Tensor, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
        """The windows of a batch.

        Args:
            epoch: int64 `[B]`.
            index: int64 `[B]`.
            height: integer `[B]`, pixels, of the images as they are shown.
            width: The same.

        Returns:
            int32 `[B, 4]`: top, left, height, width in pixels.
        """
        draws = draws_of(self.seed, epoch, index).stream(self.place)
        box = geometry.crop_boxes(self.step, draws, tf.cast(height, tf.float32), tf.cast(width, tf.float32))
        return tf.cast(tf.stack(box, axis=-1), tf.int32)


def host_crop(policy: Policy | None, seed: int) -> HostCrop | None:
    """The crop that a reader may take over, where a policy has one."""
    for place, step in policy.of_kind(Geometric) if policy else ():
        if isinstance(step, RandomResizedCrop):
            return HostCrop(step, place, seed)
    return None
