"""Progressive resizing, as an option: smaller images in the first epochs. Free of TensorFlow."""

import dataclasses
import re

from base.errors import input_error, require
from base.options import option

_NAME = "--progressive-resizing"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResizingOptions:
    """Images grow while training goes on, as in the progressive learning of Tan, Le: EfficientNetV2 (2021),
    https://arxiv.org/abs/2104.00298; only the size changes here, and evaluation is at full size always."""

    progressive_resizing: tuple[str, ...] = option(
        (),
        "train on smaller images first: shares of the image size and the epoch until which they hold; "
        "0.5:4 0.75:8 is half until epoch 4, three quarters until epoch 8, then all of it",
    )

    def __post_init__(self) -> None:
        ends = [until for _, until in self.stages]
        require(
            ends == sorted(set(ends)),
            f"Expected each stage of {_NAME} to end at a later epoch than the one before it",
            progressive_resizing=" ".join(self.progressive_resizing),
        )

    @property
    def stages(self) -> tuple[tuple[float, int], ...]:
        """(share of the image size, last epoch, counted from 1) of each stage but the last, which is at full size."""
        return tuple(_read(text) for text in self.progressive_resizing)

    def require_within(self, epochs: int) -> None:
        """Refuses stages that leave none of so many epochs for the full size."""
        last = self.stages[-1][1] if self.stages else 0
        require(
            last < epochs,
            f"Expected {_NAME} to leave at least one epoch for the full size",
            until=last,
            epochs=epochs,
            do="Give more --epochs, or shorter stages.",
        )


def _read(text: str) -> tuple[float, int]:
    match = re.fullmatch(r"\s*(\d*\.?\d+)\s*:\s*(\d+)\s*(?:epochs?)?\s*", text)
    share, until = (float(match[1]), int(match[2])) if match else (0.0, 0)
    if not (0 < share < 1 and until >= 1):
        raise input_error(
            f'Expected {_NAME} as "0.5:4", a share between 0 and 1 and the last epoch it holds for, from 1',
            progressive_resizing=text,
        )
    return share, until
