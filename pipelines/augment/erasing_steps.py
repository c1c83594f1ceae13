"""The steps that paint over a part of each image: typed values, free of TensorFlow."""

import dataclasses
from typing import Self

from pipelines.augment.pixel_steps import Sometimes
from pipelines.augment.steps import Range, Step, ordered, within


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomErasing(Sometimes):
    """Paints a rectangle of `area` (share of the image) and `aspect` (height / width) over some images.

    A side that would not fit is cut to the image's. Zhong et al.: Random Erasing Data Augmentation (2017),
    https://arxiv.org/abs/1708.04896.
    """

    area: Range = (0.02, 1 / 3)
    aspect: Range = (0.3, 10 / 3)
    fill_value: float = 127.5

    def __post_init__(self) -> None:
        super().__post_init__()
        ordered(self, "area", 0, 1)
        ordered(self, "aspect", 0.01, 100)
        within(self, "fill_value", 0, 255)

    def scaled(self, strength: float) -> Self:
        """See `Step.scaled`."""
        return dataclasses.replace(self, area=tuple(min(area * strength, 1.0) for area in self.area))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cutout(Sometimes):
    """Paints a square, `size` times as wide as the image's shorter side, about any pixel; beyond the edge it is cut.

    DeVries, Taylor: Improved Regularization of Convolutional Neural Networks with Cutout (2017),
    https://arxiv.org/abs/1708.04552, where 16 pixels of 32 were best for CIFAR-10.
    """

    probability: float = 1.0
    size: float = 0.5
    fill_value: float = 127.5

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, "size", 0, 2)
        within(self, "fill_value", 0, 255)

    def scaled(self, strength: float) -> Self:
        """See `Step.scaled`."""
        return dataclasses.replace(self, size=min(self.size * strength, 2.0))


ERASING_STEPS: tuple[type[Step], ...] = (RandomErasing, Cutout)
