"""Whether a trial is worth starting: how large its model is, and what a step of its training holds in memory.

A process of its own answers (`tuning.sizes.process`), since building models takes TensorFlow, time and memory. A check
that fails loses no trial: what can't be answered is tried.
"""

import dataclasses
import json
from collections.abc import Callable, Collection, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Size:
    """Of a trial.

    Attributes:
        parameters: Of its model, those included that are not trained.
        memory: Bytes that a step of training holds on one device, without scratch space.
        error: Why its model can't be built, in a line; "": it can.
    """

    parameters: int = 0
    memory: int = 0
    error: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What a trial may have; None: whatever it wants."""

    parameters: int | None = None
    memory: int | None = None  # bytes, on one device

    def why_not(self, size: Size) -> str:
        """Why a trial of this size is not to be started; "" where it may be.

        Example:
            >>> Limits(parameters=2_000_000).why_not(Size(parameters=13_107_200))
            'Expected at most 2,000,000 parameters. Received: parameters=13,107,200.'
        """
        if size.error:
            return size.error
        if self.parameters is not None and size.parameters > self.parameters:
            return f"Expected at most {self.parameters:,} parameters. Received: parameters={size.parameters:,}."
        if self.memory is not None and size.memory > self.memory:
            return (
                f"Expected a step of training that holds at most {bytes_text(self.memory)}. "
                f"Received: memory={bytes_text(size.memory)}."
            )
        return ""


class SizeCheck:
    """Says of a trial's recipe why it need not be tried.

    Args:
        ask: Recipe -> its size; None where that can't be said.
        limits: What a trial may have.
        added: Options that a trial gets where it runs, as `Slot.options` has them.
        unimportant: Options that no size depends on: recipes that differ in nothing else are asked for once.
    """

    def __init__(
        self,
        ask: Callable[[Mapping[str, Any]], Size | None],
        limits: Limits,
        *,
        added: Mapping[str, Any],
        unimportant: Collection[str] = (),
    ) -> None:
        self._ask, self._limits = ask, limits
        self._added, self._unimportant = dict(added), frozenset(unimportant)
        self._known: dict[str, Size] = {}

    def why_impossible(self, recipe: Mapping[str, Any]) -> str:
        """Why a recipe need not be tried; "" where it may work."""
        wanted = {**recipe, **self._added}
        facts = {name: value for name, value in wanted.items() if name not in self._unimportant}
        key = json.dumps(facts, sort_keys=True)
        if key not in self._known:
            size = self._ask(wanted)
            if size is None:
                return ""
            self._known[key] = size
        return self._limits.why_not(self._known[key])


def bytes_text(count: int) -> str:
    """A number of bytes for people.

    Example:
        >>> bytes_text(3 * 2**29)
        '1.5 GiB'
    """
    for unit, name in ((2**30, "GiB"), (2**20, "MiB")):
        if count >= unit:
            return f"{count / unit:,.1f} {name}"
    return f"{count:,} B"
