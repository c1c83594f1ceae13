"""The steps that mix examples 2i and 2i + 1 of a batch: typed values, free of TensorFlow."""

import dataclasses
from typing import Self

from pipelines.augment.steps import Mixing, Step, within


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Blend(Mixing):
    alpha: float = 1.0
    probability: float = 1.0

    def __post_init__(self) -> None:
        within(self, "alpha", 0, 100)
        within(self, "probability", 0, 1)

    def scaled(self, strength: float) -> Self:
        """See `Step.scaled`."""
        return dataclasses.replace(self, alpha=min(self.alpha * strength, 100.0))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mixup(_Blend):
    """Blends two images: a share from Beta(alpha, alpha) of one, the rest of the other.

    Some pairs only, if `probability` says so. Zhang et al.: mixup: Beyond Empirical Risk Minimization (2017),
    https://arxiv.org/abs/1710.09412.
    """

    alpha: float = 0.2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cutmix(_Blend):
    """Exchanges a rectangle between two images; the share that stays is from Beta(alpha, alpha).

    Some pairs only, if `probability` says so. Yun et al.: CutMix: Regularization Strategy to Train Strong Classifiers
    with Localizable Features (2019), https://arxiv.org/abs/1905.04899.
    """


MIXING_STEPS: tuple[type[Step], ...] = (Mixup, Cutmix)
