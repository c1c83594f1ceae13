"""What an oracle answers: train this, wait, or nothing more (None). Free of TensorFlow and KerasTuner."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proposal:
    """A trial to run.

    Attributes:
        number: Of the trial, from 1.
        values: Option -> value, of the options that are searched and whose condition holds.
        epochs: How many it is to be trained in all, those of its parent included; None: as the recipe says.
        parent: The number of the trial whose checkpoint it goes on from; it has the same values.
    """

    number: int
    values: dict[str, Any]
    epochs: int | None = None
    parent: int | None = None


@dataclasses.dataclass(frozen=True)
class Wait:
    """Nothing to start until a running trial ends."""
