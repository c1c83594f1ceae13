"""The photometric steps: what each may draw, as typed values. Free of TensorFlow.

`--augment-strength` widens ranges about what leaves an image as it is, and multiplies the probability of a step that
has nothing else to scale.
"""

import dataclasses
from typing import Self

from pipelines.augment.steps import Photometric, Range, Step, ordered, within


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Factor(Photometric):
    factor: Range = (0.8, 1.2)

    def __post_init__(self) -> None:
        ordered(self, "factor", 0, 10)

    def scaled(self, strength: float) -> Self:
        """See `Step.scaled`."""
        return dataclasses.replace(self, factor=_widened(self.factor, strength))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Brightness(_Factor):
    """Multiplies the pixels: a blend with black, at 0 the image is black, at 1 as it was."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contrast(_Factor):
    """Blends with the image's mean grey: at 0 nothing else is left, at 1 the image is as it was."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Saturation(_Factor):
    """Blends with the grey image: at 0 it is grey, at 1 as it was. Nothing below three channels."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hue(Photometric):
    """Turns the hue by up to `shift` of the colour circle, either way. Nothing below three channels."""

    shift: float = 0.05

    def __post_init__(self) -> None:
        within(self, "shift", 0, 0.5)

    def scaled(self, strength: float) -> Self:
        """See `Step.scaled`."""
        return dataclasses.replace(self, shift=min(self.shift * strength, 0.5))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColorJitter(Photometric):
    """Brightness, contrast and saturation by factors from 1 - x to 1 + x, and the hue by -hue to hue of the circle.

    Always in this order: what the order changes is small beside the jitter itself.
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            within(self, name, 0, 9)
        within(self, "hue", 0, 0.5)

    def scaled(self, strength: float) -> Self:
        """See `Step.scaled`."""
        return dataclasses.replace(
            self,
            brightness=min(self.brightness * strength, 9.0),
            contrast=min(self.contrast * strength, 9.0),
            saturation=min(self.saturation * strength, 9.0),
            hue=min(self.hue * strength, 0.5),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sometimes(Photometric):
    """A step that changes some images and leaves the others alone."""

    probability: float = 0.5

    def __post_init__(self) -> None:
        within(self, "probability", 0, 1)

    def scaled(self, strength: float) -> Self:
        """See `Step.scaled`."""
        return dataclasses.replace(self, probability=min(self.probability * strength, 1.0))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grayscale(Sometimes):
    """Takes the colour out of some images. Nothing below three channels."""

    probability: float = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Invert(Sometimes):
    """Turns some images into their negatives."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Equalize(Sometimes):
    """Spreads some images' values evenly over 0-255, each channel by itself, as Pillow does; whole values only."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AutoContrast(Sometimes):
    """Stretches some images' values to the whole of 0-255, each channel by itself."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Solarize(Sometimes):
    """Turns what is at or above `threshold` into its negative, in some images."""

    threshold: float = 128.0

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, "threshold", 0, 256)

    def scaled(self, strength: float) -> Self:
        """See `Step.scaled`."""
        return dataclasses.replace(self, threshold=max(256 - (256 - self.threshold) * strength, 0.0))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Posterize(Sometimes):
    """Keeps the `bits` highest bits of every value, in some images; whole values only."""

    bits: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, "bits", 1, 8)

    def scaled(self, strength: float) -> Self:
        """See `Step.scaled`."""
        return dataclasses.replace(self, bits=max(round(8 - (8 - self.bits) * strength), 1))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sharpness(Sometimes):
    """Blends some images with themselves smoothed: at 0 the image is smooth, at 1 as it was, at 2 sharpened."""

    factor: Range = (0.1, 1.9)

    def __post_init__(self) -> None:
        super().__post_init__()
        ordered(self, "factor", 0, 10)

    def scaled(self, strength: float) -> Self:
        """See `Step.scaled`."""
        return dataclasses.replace(self, factor=_widened(self.factor, strength))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Blur(Sometimes):
    """Blurs some images by a Gaussian whose standard deviation, in pixels, comes from `sigma`."""

    sigma: Range = (0.1, 2.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        ordered(self, "sigma", 0, 20)

    def scaled(self, strength: float) -> Self:
        """See `Step.scaled`."""
        return dataclasses.replace(self, sigma=tuple(min(sigma * strength, 20.0) for sigma in self.sigma))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChannelShift(Photometric):
    """Adds one value from -shift to shift to all channels, kept within the image's own lowest and highest value.

    As `ImageDataGenerator` does it.
    """

    shift: float = 20.0

    def __post_init__(self) -> None:
        within(self, "shift", 0, 255)

    def scaled(self, strength: float) -> Self:
        """See `Step.scaled`."""
        return dataclasses.replace(self, shift=min(self.shift * strength, 255.0))


PIXEL_STEPS: tuple[type[Step], ...] = (
    Brightness,
    Contrast,
    Saturation,
    Hue,
    ColorJitter,
    Grayscale,
    Invert,
    Equalize,
    AutoContrast,
    Solarize,
    Posterize,
    Sharpness,
    Blur,
    ChannelShift,
)


def _widened(factors: Range, strength: float) -> Range:
    """A range of factors, its distance from 1 multiplied; from 0 to 10."""
    low, high = (min(max(1 + (factor - 1) * strength, 0.0), 10.0) for factor in factors)
    return low, high
