"""The published policies as steps: for each image operations of its own out of many. Free of TensorFlow.

Operations, ranges and magnitudes are torchvision's; what lies beyond the edge is grey, as in the papers' own code.
Geometric operations interpolate between pixels.
"""

import dataclasses
from typing import Literal, Self

from base.errors import require
from pipelines.augment.steps import Photometric, Step, within

MAGNITUDES = 30  # the scale's upper end


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandAugment(Photometric):
    """`layers` operations, each out of 14, all of one magnitude from 0 to 30 (torchvision's scale of 31 values).

    The paper's code counts to 10: its magnitude 9 is 27 here. Cubuk et al.: RandAugment: Practical Automated Data
    Augmentation with a Reduced Search Space (2019), https://arxiv.org/abs/1909.13719.
    """

    layers: int = 2
    magnitude: float = 9.0
    fill_value: float = 128.0

    def __post_init__(self) -> None:
        within(self, "layers", 1, 10)
        within(self, "magnitude", 0, MAGNITUDES)
        within(self, "fill_value", 0, 255)

    def scaled(self, strength: float) -> Self:
        """See `Step.scaled`."""
        return dataclasses.replace(self, magnitude=min(self.magnitude * strength, float(MAGNITUDES)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrivialAugment(Photometric):
    """One operation out of 14, its magnitude out of 31 from 0 to `magnitude` (30: all of the paper's wide ranges).

    Mueller, Hutter: TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation (2021),
    https://arxiv.org/abs/2103.10158.
    """

    magnitude: float = 30.0
    fill_value: float = 128.0

    def __post_init__(self) -> None:
        within(self, "magnitude", 0, MAGNITUDES)
        within(self, "fill_value", 0, 255)

    def scaled(self, strength: float) -> Self:
        """See `Step.scaled`."""
        return dataclasses.replace(self, magnitude=min(self.magnitude * strength, float(MAGNITUDES)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class AutoAugment(Photometric):
    """One of 25 learnt pairs of operations, each with a probability and a magnitude; `magnitude` multiplies them.

    Cubuk et al.: AutoAugment: Learning Augmentation Policies from Data (2018), https://arxiv.org/abs/1805.09501.
    """

    policy: Literal["imagenet", "cifar"] = "imagenet"
    magnitude: float = 1.0
    fill_value: float = 128.0

    def __post_init__(self) -> None:
        require(self.policy in PAIRS, "Expected policy of AutoAugment as imagenet or cifar", policy=self.policy)
        within(self, "magnitude", 0, 10)
        within(self, "fill_value", 0, 255)

    def scaled(self, strength: float) -> Self:
        """See `Step.scaled`."""
        return dataclasses.replace(self, magnitude=min(self.magnitude * strength, 10.0))


POLICY_STEPS: tuple[type[Step], ...] = (RandAugment, TrivialAugment, AutoAugment)

_IMAGENET = """
posterize .4 8, rotate .6 9 | solarize .6 5, auto_contrast .6 | equalize .8, equalize .6
posterize .6 7, posterize .6 6 | equalize .4, solarize .2 4 | equalize .4, rotate .8 8
solarize .6 3, equalize .6 | posterize .8 5, equalize 1 | rotate .2 3, solarize .6 8
equalize .6, posterize .4 6 | rotate .8 8, color .4 0 | rotate .4 9, equalize .6
equalize 0, equalize .8 | invert .6, equalize 1 | color .6 4, contrast 1 8
rotate .8 8, color 1 2 | color .8 8, solarize .8 7 | sharpness .4 7, invert .6
shear_x .6 5, equalize 1 | color .4 0, equalize .6 | equalize .4, solarize .2 4
solarize .6 5, auto_contrast .6 | invert .6, equalize 1 | color .6 4, contrast 1 8
equalize .8, equalize .6
"""
_CIFAR = """
invert .1, contrast .2 6 | rotate .7 2, translate_x .3 9 | sharpness .8 1, sharpness .9 3
shear_y .5 8, translate_y .7 9 | auto_contrast .5, equalize .9 | shear_y .2 7, posterize .3 7
color .4 3, brightness .6 7 | sharpness .3 9, brightness .7 9 | equalize .6, equalize .5
contrast .6 7, sharpness .6 5 | color .7 7, translate_x .5 8 | equalize .3, auto_contrast .4
translate_y .4 3, sharpness .2 6 | brightness .9 6, color .2 8 | solarize .5 2, invert 0
equalize .2, auto_contrast .6 | equalize .2, equalize .6 | color .9 9, equalize .6
auto_contrast .8, solarize .2 8 | brightness .1 3, color .7 0 | solarize .4 5, auto_contrast .9
translate_y .9 9, translate_y .7 9 | auto_contrast .9, solarize .8 3 | equalize .8, invert .1
translate_y .7 9, auto_contrast .9
"""

Operation = tuple[str, float, float]  # name, probability, magnitude as a share of its range


def _pairs(table: str) -> tuple[tuple[Operation, Operation], ...]:
    def read(operation: str) -> Operation:
        name, probability, *magnitude = operation.split()
        return name, float(probability), float(magnitude[0]) / 9 if magnitude else 0.0

    lines = (pair for line in table.split("\n") if line for pair in line.split("|"))
    return tuple(tuple(read(operation) for operation in pair.split(",")) for pair in lines)


# The papers' appendices, with magnitudes from 0 to 9.
PAIRS = {"imagenet": _pairs(_IMAGENET), "cifar": _pairs(_CIFAR)}
