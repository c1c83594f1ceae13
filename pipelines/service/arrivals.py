"""Which steps' batches have come, where they come in any order and may be lost on the way. Free of TensorFlow."""

from collections.abc import Iterable

# Steps that a batch may be late: at least, where nothing is known yet of how late they come; and at most, or a worker
# that once took long, as over compiling, would hide for ever what others lose.
_LEAST, _MOST = 64, 1000


class Arrivals:
    """What came so far of an endless stream of steps.

    A batch that has been overtaken is late or lost, and nobody says which. It is taken as lost once it is four times as
    late as any that came has been; should it come after all, it is no longer counted.

    Args:
        start: The first step.
    """

    def __init__(self, start: int = 0) -> None:
        self._start, self._next = start, start
        self._missing: set[int] = set()
        self._latest = 0  # by how many steps a batch that came had been overtaken, at most

    def add(self, steps: Iterable[int]) -> None:
        """Notes steps in the order in which they came."""
        for step in steps:
            if step >= self._next:
                self._missing.update(range(self._next, step))
                self._next = step + 1
            else:
                self._missing.discard(step)
                self._latest = max(self._latest, self._next - 1 - step)

    @property
    def expected(self) -> int:
        """Steps up to the highest that came."""
        return self._next - self._start

    def lost(self, *, at_the_end: bool = False) -> int:
        """How many of them were lost.

        Args:
            at_the_end: Whether there will be no later count, so that what is no later than others have been is all
                that is spared.
        """
        patience = self._latest if at_the_end else max(_LEAST, 4 * self._latest)
        patience = min(patience, _MOST)
        return sum(step < self._next - 1 - patience for step in self._missing)
