"""What the training loss can be told, as options; free of TensorFlow."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from base.errors import require
from base.options import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossOptions:
    """The training loss, beyond the head's; evaluation keeps the head's plain loss."""

    label_smoothing: float = option(0.0, "the share of a label that is spread over all classes (Szegedy et al. 2015)")
    focal_gamma: float = option(0.0, "how much less easy examples count (Lin et al. 2017, who take 2); 0: not at all")
    sample_weights: str | None = option(
        None, "a CSV file with the columns id and weight: how much each training example counts in the loss"
    )
    class_weight: Literal["none", "balanced"] = option("none", "balanced: each class counts the same in the loss")

    def __post_init__(self) -> None:
        require(
            0 <= self.label_smoothing < 1,
            "Expected --label-smoothing from 0 to below 1",
            label_smoothing=self.label_smoothing,
        )
        require(self.focal_gamma >= 0, "Expected --focal-gamma of at least 0", focal_gamma=self.focal_gamma)

    def class_weights(self, examples: Sequence[int]) -> list[float] | None:
        """One a class, n / (K * n_k), so that those of all examples add up to n; None for "none".

        Args:
            examples: Of each class in the training split, each at least 1.
        """
        if self.class_weight == "none":
            return None
        require(
            0 not in examples,
            "Expected training examples of every class for --class-weight balanced",
            examples=examples,
        )
        return [sum(examples) / (len(examples) * count) for count in examples]
