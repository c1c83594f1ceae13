"""When each trial had its slot, and what of its time was not training."""

import dataclasses
import statistics
from collections.abc import Iterable

from tuning.trial import Execution, TrialResult


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stretch:
    """An execution's time in a slot.

    Attributes:
        trial: Its number.
        slot: The slot's number; in a chief's search, of all its workers' slots (`worker_slots`).
        begin: Seconds since the slot's first one began; when no search was running does not count.
        seconds: How long it was.
        execution: What it was.
    """

    trial: int
    slot: int
    begin: float
    seconds: float
    execution: Execution


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spread:
    """Seconds of several executions."""

    median: float
    least: float
    most: float
    count: int


def timeline(results: Iterable[TrialResult]) -> list[Stretch]:
    """Each slot's executions end to end, in the order of the trials' numbers, which is that of their starts."""
    results = sorted(results, key=lambda result: result.number)
    numbers = {place: number for number, place in enumerate(worker_slots(results), start=1)}
    ends: dict[int, float] = {}
    stretches: list[Stretch] = []
    for result in results:
        for one in result.executions:
            slot = numbers.get((one.worker, one.slot), one.slot)
            begin = ends[slot] + (one.idle_before or 0) if slot in ends else 0.0
            ends[slot] = begin + one.seconds
            stretches.append(Stretch(trial=result.number, slot=slot, begin=begin, seconds=one.seconds, execution=one))
    return stretches


def worker_slots(results: Iterable[TrialResult]) -> list[tuple[str, int]]:
    """The slots of all workers, as (worker, number there); none where the search ran its trials itself."""
    found = {(one.worker, one.slot) for result in results for one in result.executions}
    return sorted(found) if any(worker for worker, _ in found) else []


def overhead(stretches: Iterable[Stretch]) -> dict[str, Spread]:
    """What it is -> seconds an execution; without those that no execution has.

    Args:
        stretches: Of `timeline`.
    """
    stretches = list(stretches)
    executions = [stretch.execution for stretch in stretches]
    found = {
        "process start to first step": [one.to_first_step for one in executions],
        "last step to process end": [one.after_last_step for one in executions],
        "process end to the next start": [one.idle_before for one in executions],
        "last step to the next start": _to_the_next(stretches),
    }
    return {name: spread for name, seconds in found.items() if (spread := _spread(seconds))}


def _to_the_next(stretches: Iterable[Stretch]) -> list[float]:
    """Seconds from each last step to the start of what followed in the slot."""
    found, before = [], {}
    for stretch in stretches:
        earlier, own = before.get(stretch.slot), stretch.execution
        if earlier and earlier.after_last_step is not None and own.idle_before is not None:
            found.append(earlier.after_last_step + own.idle_before)
        before[stretch.slot] = own
    return found


def _spread(seconds: Iterable[float | None]) -> Spread | None:
    known = [one for one in seconds if one is not None]
    if not known:
        return None
    return Spread(median=statistics.median(known), least=min(known), most=max(known), count=len(known))
