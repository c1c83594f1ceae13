"""The switch: whether and how images are augmented, as options; free of TensorFlow."""

import dataclasses
from typing import Any, Literal

from base.errors import require
from base.options import option
from pipelines.augment.policy import Policy, read_steps, scaled


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentOptions:
    """Augmentation of the training images."""

    augment: str | list[Any] = option(
        "none", "none, a policy (light, imagenet, cifar, ...), steps by name with commas between, or a recipe's list"
    )
    augment_strength: float = option(1.0, "scales every range; 0: images stay as they are")
    augment_on: Literal["device", "host"] = option("device", "in the compiled step, or compiled in the input pipeline")
    augment_fill: Literal["nearest", "constant", "reflect", "wrap"] = option(
        "nearest", "what the warp shows beyond an image's edge"
    )
    augment_fill_value: float = option(0.0, "of --augment-fill constant, 0 to 255")
    augment_interpolation: Literal["bilinear", "nearest"] = option("bilinear", "of the warp")

    def __post_init__(self) -> None:
        require(
            0 <= self.augment_strength <= 10,
            "Expected --augment-strength from 0 to 10",
            augment_strength=self.augment_strength,
        )
        require(
            0 <= self.augment_fill_value <= 255,
            "Expected --augment-fill-value from 0 to 255",
            augment_fill_value=self.augment_fill_value,
        )
        self.policy()

    def policy(self) -> Policy | None:
        """What is asked for; None: no augmentation."""
        steps = scaled(read_steps(self.augment), self.augment_strength)
        if not steps or self.augment_strength == 0:
            return None
        return Policy(
            steps=steps,
            fill=self.augment_fill,
            fill_value=self.augment_fill_value,
            interpolation=self.augment_interpolation,
        )
