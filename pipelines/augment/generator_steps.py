"""The step behind the geometric options of Keras' `ImageDataGenerator`: its ranges, as values. Free of TensorFlow.

How it is drawn stands in `generator`.
"""

import dataclasses
from typing import Self

from pipelines.augment.steps import Geometric, Range


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShiftRange:
    """How far images move along one axis, either way."""

    most: float = 0.0  # anything up to this ...
    values: tuple[float, ...] = ()  # ... or, where there are any, one of these
    of_size: bool = True  # fractions of the width or height, else pixels

    def scaled(self, strength: float) -> Self:
        """The same, so many times as far."""
        values = tuple(value * strength for value in self.values)
        return dataclasses.replace(self, most=self.most * strength, values=values)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GeneratorAffine(Geometric):
    """Zooms, slants, shifts and turns the image about its centre, composed as `ImageDataGenerator` composes them.

    Other than in the steps of Millrace's own, `zoom` above 1 makes the image smaller, width and height always have
    factors of their own, and the ranges are drawn evenly (not on the logarithmic scale).
    """

    rotation: float = 0.0  # degrees, either way
    width_shift: ShiftRange = ShiftRange()
    height_shift: ShiftRange = ShiftRange()
    shear: float = 0.0  # degrees, either way
    zoom: Range = (1.0, 1.0)

    def scaled(self, strength: float) -> Self:
        """See `Step.scaled`."""
        low, high = (max(1 + (factor - 1) * strength, 0.01) for factor in self.zoom)
        return dataclasses.replace(
            self,
            rotation=self.rotation * strength,
            width_shift=self.width_shift.scaled(strength),
            height_shift=self.height_shift.scaled(strength),
            shear=self.shear * strength,
            zoom=(low, high),
        )
