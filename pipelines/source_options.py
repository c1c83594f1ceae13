"""The options of a source and of how it is divided. Without TensorFlow."""

import dataclasses
import math
import os
from pathlib import Path
from typing import Any, Literal

from base.errors import input_error, require
from base.options import option
from pipelines.sources import digits
from pipelines.splits import TEST_SHARE


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """Which images, of which classes, in which splits."""

    source: str = option(help="folder of class folders, .npz file, folder of IDX files, or 'digits'")
    seed: int = option(0, help="draws the splits and the order of the examples")
    hold_out: str = option(
        f"validation={TEST_SHARE}", help="share of the images for validation where SOURCE has none of its own; 0: none"
    )
    value_range: Literal["auto", "0-1", "0-255", "0-65535"] = option("auto", help="black and white in arrays")
    class_names: tuple[str, ...] = option((), help="classes in their order; names of the labels 0, 1, ...")

    def __post_init__(self) -> None:
        """Refuses what can be seen without looking at the source."""
        require(bool(self.source), "Expected SOURCE to be a path or 'digits'", source=self.source)
        require(0 <= self.seed < 2**63, "Expected --seed from 0 to 2**63 - 1", seed=self.seed)
        _held_out(self.hold_out)
        names = self.class_names
        twice = sorted({name for name in names if names.count(name) > 1})
        require(not twice, "Expected different names in --class-names", twice=twice)
        require(len(names) != 1, "Expected at least two names in --class-names", class_names=list(names))

    @property
    def source_path(self) -> Path | None:
        """Where the source lies, links resolved; None for the embedded digits."""
        return None if self.source == digits.NAME else Path(os.path.realpath(self.source))

    @property
    def held_out(self) -> float:
        """The share of the images that becomes validation where the source has none."""
        return _held_out(self.hold_out)

    def made_by(self) -> dict[str, Any]:
        """What splits and order depend on, as JSON holds it: equal for two commands that divide the same alike."""
        return {
            "source": str(self.source_path or digits.NAME),
            "seed": self.seed,
            "hold_out": {"validation": self.held_out},
            "value_range": self.value_range,
            "class_names": list(self.class_names),
        }


def _held_out(text: str) -> float:
    name, equals, value = text.partition("=")
    if not equals:
        name, value = "validation", text
    try:
        share = float(value)
    except ValueError:
        share = math.nan
    most = 1 - TEST_SHARE
    if name != "validation" or not (0 <= share < most) or (not equals and share != 0):
        raise input_error(
            f"Expected --hold-out validation=SHARE with a share from 0 to less than {most}, or --hold-out 0",
            hold_out=text,
            do="`test` is never held out of a training split.",
        )
    return share
