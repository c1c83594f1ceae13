"""How the images of a batch of records become pixels of one size, its frames: whole, or a window of each."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from pipelines.augment.augmentation import HostCrop
from pipelines.augment.policy import Policy
from pipelines.augment.steps import Crop, RandomResizedCrop
from pipelines.images import decode, windows
from pipelines.images.input_options import InputSpec
from pipelines.manifest import Manifest


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Frames:
    """What becomes of a split's images.

    Attributes:
        manifest: Of the dataset.
        spec: The model's size, channels and fit.
        size: (height, width) of the frames: another size than the model's where the augmentation crops later.
        crop: Cut out while decoding, and brought to `size`; None: whole images, fitted to `size`.
    """

    manifest: Manifest
    spec: InputSpec
    size: tuple[int, int]
    crop: HostCrop | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of a frame."""
        return (*self.size, self.spec.channels)

    @property
    def dtype(self) -> tf.DType:
        """Of a frame."""
        return tf.uint8

    @property
    def bytes(self) -> int:
        """Of a frame."""
        return self.size[0] * self.size[1] * self.spec.channels

    def describe(self) -> str:
        """All that whole frames follow from, beside the records."""
        return f"{self.size} {self.spec} {self.manifest.encoding}"

    def whole(self, images: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
        """Decodes and fits images.

        Args:
            images: string `[B]`, as records hold them.
            orientation: int64 `[B]`, EXIF's.

        Returns:
            uint8 `[B, *shape]`, 0-255.
        """
        spec = dataclasses.replace(self.spec, image_size=self.size[0])
        if self.manifest.encoding == "raw":
            stored = (*self.manifest.image_shape, self.manifest.channels)
            return decode.decode_raw(images, stored, None if stored[:2] == self.size else spec, self.spec.channels)
        return decode.decode_all(images, spec, orientation)

    def cropped(
        self,
        read: Callable[[tf.Tensor], tf.Tensor],
        sizes: tf.Tensor,
        orientation: tf.Tensor,
        epoch: tf.Tensor,
        index: tf.Tensor,
    ) -> tf.Tensor:
        """Decodes a random window of each image.

        Args:
            read: From a place in the batch to its JPEG or PNG: one at a time, so that the bytes stay in the processor's
                cache (95 us an image of 108 KB less than gathering all).
            sizes: int32 `[B, 2]`: height, width, as stored.
            orientation: int64 `[B]`, EXIF's.
            epoch: int64 `[B]`.
            index: int64 `[B]`, places in the split.

        Returns:
            uint8 `[B, *shape]`, 0-255.
        """
        turned = self.manifest.oriented > 0
        shown = windows.shown_sizes(sizes, orientation) if turned else sizes
        boxes = self.crop.boxes(epoch, index, shown[:, 0], shown[:, 1])
        boxes = windows.stored_boxes(boxes, shown, orientation) if turned else boxes
        plan = windows.plan(boxes, sizes, self.size)

        def frame(row: tuple) -> tf.Tensor:
            place, window, turned_by = row
            pixels = windows.decode_window(read(place), window, self.size, self.spec.channels)
            return decode.turn(pixels, turned_by) if turned else pixels

        return tf.map_fn(
            frame,
            (tf.range(tf.shape(index)[0]), plan, orientation),
            fn_output_signature=tf.TensorSpec(self.shape, tf.uint8),
            parallel_iterations=1,
        )


def evaluation_frames(manifest: Manifest, spec: InputSpec) -> Frames:
    """Whole images at the model's size."""
    return Frames(manifest=manifest, spec=spec, size=(spec.image_size, spec.image_size))


def training_frames(manifest: Manifest, spec: InputSpec, policy: Policy | None, crop: HostCrop | None) -> Frames:
    """What the augmentation is given.

    Args:
        manifest: Of the dataset.
        spec: The model's size, channels and fit.
        policy: Of the augmentation.
        crop: The policy's random-resized-crop, if it has one.
    """
    fused = crops_while_decoding(manifest, spec, crop)
    size = training_size(policy, manifest, spec, fused)
    return Frames(manifest=manifest, spec=spec, size=size, crop=crop if fused else None)


def crops_while_decoding(manifest: Manifest, spec: InputSpec, crop: HostCrop | None) -> bool:
    """Whether the reader cuts out the policy's random-resized-crop, so that the augmentation must leave it out.

    It follows from the recipe and the records alone. Pixels need no decoding, and images of the model's size have
    little around a window that could be read past.
    """
    return (
        crop is not None and manifest.encoding != "raw" and manifest.image_shape != (spec.image_size, spec.image_size)
    )


def training_size(policy: Policy | None, manifest: Manifest, spec: InputSpec, fused: bool) -> tuple[int, int]:
    """(height, width) of the images that the augmentation is given: larger than the model's where it crops them."""
    steps = () if policy is None or fused else policy.steps
    if any(isinstance(step, RandomResizedCrop) for step in steps) and manifest.image_shape is not None:
        return manifest.image_shape
    resized = [step.resize for step in steps if isinstance(step, Crop) and step.resize is not None]
    side = resized[0] if resized else spec.image_size
    return side, side
