"""The options of Keras' `ImageDataGenerator`, with its names and meanings. Free of TensorFlow.

Those that draw become steps of a policy; those that standardise become the model's first layers.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

from base.errors import input_error, require
from base.options import option
from pipelines.augment.generator_steps import GeneratorAffine, ShiftRange
from pipelines.augment.options import AugmentOptions
from pipelines.augment.pixel_steps import Brightness, ChannelShift
from pipelines.augment.policy import Policy, read_steps, scaled
from pipelines.augment.steps import Flip, Step

_FILLING = ("fill_mode", "cval")
_DRAWING = (
    "rotation_range",
    "width_shift_range",
    "height_shift_range",
    "shear_range",
    "zoom_range",
    "horizontal_flip",
    "vertical_flip",
    "brightness_range",
    "channel_shift_range",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GeneratorOptions:
    """What `ImageDataGenerator` takes."""

    rotation_range: float = option(0.0, "ImageDataGenerator's: degrees, either way")
    width_shift_range: int | float | tuple[float, ...] = option(
        0.0,
        "sideways: a number below 1 is a fraction of the width, others are pixels; a whole number: whole pixels below "
        "it; a list: one of its values, either way",
    )
    height_shift_range: int | float | tuple[float, ...] = option(0.0, "the same up and down")
    shear_range: float = option(0.0, "degrees, either way")
    zoom_range: float | tuple[float, ...] = option(0.0, "[low, high], or x for [1 - x, 1 + x]; above 1 things shrink")
    horizontal_flip: bool = option(False, "mirrors half of the images, left to right")
    vertical_flip: bool = option(False, "mirrors half of the images, top to bottom")
    brightness_range: tuple[float, ...] | None = option(None, "[low, high]: factors; 1: as it is")
    channel_shift_range: float = option(0.0, "grey levels that are added to all channels, either way")
    fill_mode: Literal["nearest", "constant", "reflect", "wrap"] = option("nearest", "what is seen beyond the edge")
    cval: float = option(0.0, "of --fill-mode constant, 0 to 255")
    rescale: float | str | None = option(
        None,
        "factor of the pixels, as 0.5 or 1/255; 1/255 where no option from here on is given, else none: what follows "
        "then sees 0 to 255",
    )
    samplewise_center: bool = option(False, "subtracts each image's mean")
    samplewise_std_normalization: bool = option(False, "also divides by each image's standard deviation")
    featurewise_center: bool = option(False, "subtracts each channel's mean over the training split")
    featurewise_std_normalization: bool = option(False, "also divides by the channel's standard deviation there")
    zca_whitening: bool = option(False, "decorrelates all values of an image, in place of the division")
    zca_epsilon: float = option(1e-6, "of --zca-whitening")

    def __post_init__(self) -> None:
        for name in ("rotation_range", "shear_range"):
            value = getattr(self, name)
            _require(self, name, math.isfinite(value) and value >= 0, "of at least 0: it is drawn either way")
        for name in ("width_shift_range", "height_shift_range"):
            shift_range(getattr(self, name), name)
        _require(self, "cval", 0 <= self.cval <= 255, "from 0 to 255")
        _require(self, "zca_epsilon", 0 < self.zca_epsilon < math.inf, "above 0")
        _require(self, "channel_shift_range", 0 <= self.channel_shift_range <= 255, "from 0 to 255, grey levels")
        self.zoom()
        if self.brightness_range is not None:
            _require_pair(self.brightness_range, "brightness_range", 0, 10)
        self.factor()

    @property
    def draws(self) -> bool:
        """Whether any option is given that draws."""
        return bool(self._given(*_DRAWING))

    @property
    def standardises(self) -> bool:
        """Whether any option is given that says what the model's first layers do."""
        return bool(self.rescale is not None or self.centers_samples or self.centers_features)

    @property
    def centers_samples(self) -> bool:
        """Division by an image's standard deviation brings its centring with it, as in Keras."""
        return self.samplewise_center or self.samplewise_std_normalization

    @property
    def centers_features(self) -> bool:
        """Division by a channel's standard deviation, and whitening, bring the centring with them, as in Keras."""
        return self.featurewise_center or self.featurewise_std_normalization or self.zca_whitening

    @property
    def divides_features(self) -> bool:
        """Whitening takes the place of the division, as in Keras."""
        return self.featurewise_std_normalization and not self.zca_whitening

    def factor(self) -> float | None:
        """`rescale` as a number."""
        if self.rescale is None:
            return None
        try:
            above, _, below = str(self.rescale).partition("/")
            factor = float(above) / float(below or 1)
        except (ValueError, ZeroDivisionError):
            factor = math.nan
        _require(self, "rescale", 0 < factor < math.inf, "as a number above 0, or a fraction as 1/255")
        return factor

    def zoom(self) -> tuple[float, float]:
        """`zoom_range` as (low, high)."""
        if isinstance(self.zoom_range, Sequence):
            _require_pair(self.zoom_range, "zoom_range", 0.01, 100)
            return tuple(self.zoom_range)
        _require(self, "zoom_range", 0 <= self.zoom_range <= 0.99, "from 0 to 0.99, or as [low, high]")
        return (1 - self.zoom_range, 1 + self.zoom_range)

    def steps(self) -> tuple[Step, ...]:
        """The options that draw, as steps, in the order in which Keras applies them."""
        affine = GeneratorAffine(
            rotation=self.rotation_range,
            width_shift=shift_range(self.width_shift_range, "width_shift_range"),
            height_shift=shift_range(self.height_shift_range, "height_shift_range"),
            shear=self.shear_range,
            zoom=self.zoom(),
        )
        flips = self.horizontal_flip or self.vertical_flip
        steps = (
            affine if affine != GeneratorAffine() else None,
            Flip(horizontal=self.horizontal_flip, vertical=self.vertical_flip) if flips else None,
            ChannelShift(shift=self.channel_shift_range) if self.channel_shift_range else None,
            Brightness(factor=tuple(self.brightness_range)) if self.brightness_range is not None else None,
        )
        return tuple(step for step in steps if step is not None)

    def policy(self, strength: float = 1.0) -> Policy | None:
        """What is asked for; None where nothing is drawn."""
        steps = scaled(self.steps(), strength)
        if not steps or strength == 0:
            return None
        return Policy(steps=steps, fill=self.fill_mode, fill_value=self.cval)

    def _given(self, *names: str) -> list[str]:
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        return [name for name in names if getattr(self, name) != defaults[name]]


def joined_policy(augment: AugmentOptions, generator: GeneratorOptions) -> Policy | None:
    """The policy of a run: of `--augment`, or of `ImageDataGenerator`'s options.

    Raises:
        InputError: Both are given, or a way of filling that belongs to the other one.
    """
    drawing, filling = generator._given(*_DRAWING), generator._given(*_FILLING)
    if not drawing:
        require(
            not filling,
            "Expected --fill-mode and --cval beside one of ImageDataGenerator's ranges, as --rotation-range",
            **{name: getattr(generator, name) for name in filling},
            do="With --augment say --augment-fill and --augment-fill-value.",
        )
        return augment.policy()
    require(
        not read_steps(augment.augment),
        f"Expected either --augment or ImageDataGenerator's options ({', '.join(drawing)})",
        augment=augment.augment,
        do="Say all of it in one of the two ways.",
    )
    require(
        (augment.augment_fill, augment.augment_fill_value) == ("nearest", 0.0),
        "Expected --fill-mode and --cval beside ImageDataGenerator's options, not --augment-fill",
        augment_fill=augment.augment_fill,
        augment_fill_value=augment.augment_fill_value,
    )
    policy = generator.policy(augment.augment_strength)
    return policy and dataclasses.replace(policy, interpolation=augment.augment_interpolation)


def shift_range(value: float | Sequence[float], name: str) -> ShiftRange:
    """What `ImageDataGenerator` understands by `width_shift_range` or `height_shift_range`.

    A number below 1 is a fraction, one from 1 on a count of pixels, and anything up to it is drawn, either way; a
    whole number n stands for the whole pixels 0 to n - 1, either way; a list for its values, either way, which are
    fractions where all are below 1.

    Example:
        >>> shift_range(2, "width_shift_range")
        ShiftRange(most=0.0, values=(0, 1), of_size=False)
    """
    if isinstance(value, Sequence):
        require(
            len(value) > 0 and all(map(math.isfinite, value)),
            f"Expected --{_hyphens(name)} with values",
            **{name: value},
        )
        return ShiftRange(values=tuple(value), of_size=max(value) < 1)
    require(0 <= value < 1e4, f"Expected --{_hyphens(name)} of at least 0: it is drawn either way", **{name: value})
    if isinstance(value, int) and value > 0:
        return ShiftRange(values=tuple(range(value)), of_size=False)
    return ShiftRange(most=float(value), of_size=value < 1)


def _require(options: GeneratorOptions, name: str, holds: bool, expected: str) -> None:
    require(holds, f"Expected --{_hyphens(name)} {expected}", **{name: getattr(options, name)})


def _require_pair(value: Sequence[float], name: str, least: float, most: float) -> None:
    if len(value) != 2 or not least <= value[0] <= value[1] <= most:
        expected = f"Expected --{_hyphens(name)} as [low, high], low at most high, both from {least:g} to {most:g}"
        raise input_error(expected, **{name: list(value)})


def _hyphens(name: str) -> str:
    return name.replace("_", "-")
