"""The steps that an augmentation is made of: what they may draw, as typed values. Free of TensorFlow.

How a step is drawn and applied stands in the module of its kind: `geometry` (all of them one warp), `photometry` and
`erasing` (pixels), `mixing` (pairs of examples), `policies` (one operation out of many for each image).
"""

import dataclasses
from typing import Any, Self

from base.errors import require

Range = tuple[float, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """One step; `scaled` says what `--augment-strength` does to it."""

    def scaled(self, strength: float) -> Self:
        """The same step with every range so many times as wide; 0 leaves the images as they are."""
        return self


class Geometric(Step):
    """A step that moves pixels: a matrix for each image."""


class Photometric(Step):
    """A step that changes the values of pixels where they are."""


class Mixing(Step):
    """A step that mixes two examples, and their labels."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flip(Geometric):
    """Mirrors half of the images, left to right, top to bottom, or each of both."""

    horizontal: bool = True
    vertical: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rotation(Geometric):
    """Turns the image about its centre by -degrees to degrees."""

    degrees: float = 15.0

    def __post_init__(self) -> None:
        within(self, "degrees", 0, 180)

    def scaled(self, strength: float) -> Self:
        """See `Step.scaled`."""
        return dataclasses.replace(self, degrees=min(self.degrees * strength, 180.0))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Zoom(Geometric):
    """Enlarges the image by a factor from `scale`, width and height by factors of their own without `keep_aspect`."""

    scale: Range = (0.8, 1.2)
    keep_aspect: bool = True

    def __post_init__(self) -> None:
        ordered(self, "scale", 0.01, 100)

    def scaled(self, strength: float) -> Self:
        """See `Step.scaled`."""
        return dataclasses.replace(self, scale=_about_one(self.scale, strength))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shift(Geometric):
    """Moves the image by up to these fractions of its width and height, either way."""

    width: float = 0.1
    height: float = 0.1

    def __post_init__(self) -> None:
        within(self, "width", 0, 1)
        within(self, "height", 0, 1)

    def scaled(self, strength: float) -> Self:
        """See `Step.scaled`."""
        return dataclasses.replace(self, width=min(self.width * strength, 1.0), height=min(self.height * strength, 1.0))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shear(Geometric):
    """Slants the image: rows slide by up to `x` degrees, columns by up to `y` degrees, either way."""

    x: float = 10.0
    y: float = 0.0

    def __post_init__(self) -> None:
        within(self, "x", 0, 80)
        within(self, "y", 0, 80)

    def scaled(self, strength: float) -> Self:
        """See `Step.scaled`."""
        return dataclasses.replace(self, x=min(self.x * strength, 80.0), y=min(self.y * strength, 80.0))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Crop(Geometric):
    """A window of the model's size, at a random place of the image enlarged by `padding` pixels on each side.

    With `resize` the window is taken from the image brought to that side first, which must be at least the model's.
    """

    padding: int = 4
    resize: int | None = None

    def __post_init__(self) -> None:
        within(self, "padding", 0, 4096)
        require(self.resize is None or self.resize >= 1, "Expected crop.resize of at least 1", resize=self.resize)

    def scaled(self, strength: float) -> Self:
        """See `Step.scaled`."""
        return dataclasses.replace(self, padding=round(self.padding * strength))


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomResizedCrop(Geometric):
    """A window of `area` (share of the image) and `aspect` (width / height), stretched to the model's size.

    Szegedy et al.: Going Deeper with Convolutions (2014), https://arxiv.org/abs/1409.4842. It must be the first step.
    """

    area: Range = (0.08, 1.0)
    aspect: Range = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        ordered(self, "area", 0.0001, 1)
        ordered(self, "aspect", 0.01, 100)

    def scaled(self, strength: float) -> Self:
        """See `Step.scaled`."""
        low, high = (max(share + (1 - share) * (1 - strength), 0.0001) for share in self.area)
        return dataclasses.replace(self, area=(low, high), aspect=_about_one(self.aspect, strength))


def to_mapping(step: Step) -> dict[str, Any]:
    """Field -> value, as a recipe or a layer's config holds it."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(step).items()}


def _about_one(scale: Range, strength: float) -> Range:
    """A range of factors, its distance from 1 multiplied on the logarithmic scale, so that none reaches 0."""
    return (scale[0] ** strength, scale[1] ** strength)


def within(step: Step, name: str, low: float, high: float) -> None:
    """Requires a field from low to high."""
    value = getattr(step, name)
    require(low <= value <= high, f"Expected {_said(step, name)} from {low} to {high}", **{name: value})


def ordered(step: Step, name: str, low: float, high: float) -> None:
    """Requires a field [first, last], first at most last, both from low to high."""
    first, last = getattr(step, name)
    require(
        low <= first <= last <= high,
        f"Expected {_said(step, name)} as [low, high], low at most high, both from {low} to {high}",
        **{name: [first, last]},
    )


def _said(step: Step, name: str) -> str:
    return f"{name} of {type(step).__name__}"
