"""The median rule: which running trials are not worth going on with (Golovin et al. 2017, Google Vizier, 3.2.2)."""

import math
import statistics
from collections.abc import Sequence
from typing import Literal

Curve = Sequence[float]  # a value an epoch, from the first; NaN where there is none


def is_hopeless(
    curve: Curve,
    ended: Sequence[Curve],
    running: Sequence[Curve] = (),
    *,
    better: Literal["min", "max"],
    least_trials: int = 5,
    grace_epochs: int = 3,
) -> bool:
    """Whether a running trial may be stopped: after its last epoch e, its best value so far is worse than the median
    of the others' means of their epochs 1 to e.

    Args:
        curve: Of the trial in question, e epochs of it; the parent's epochs included where it has one.
        ended: Curves of trials that have ended, stopped ones included. One shorter than e counts with what it has.
        running: Curves of other running trials; those that have reached e count.
        better: Whether a lower or a higher value is better.
        least_trials: How many others must count for anything to be stopped.
        grace_epochs: Through how many epochs no trial is stopped.

    Example:
        >>> is_hopeless([0.9, 0.8], [[0.9, 0.5], [0.8, 0.4]], better="min", least_trials=2, grace_epochs=1)
        True
    """
    epoch = len(curve)
    others = [*ended, *(other for other in running if len(other) >= epoch)]
    others = [other for other in others if len(other) > 0]
    if epoch <= grace_epochs or len(others) < max(least_trials, 1):
        return False
    sign = 1 if better == "min" else -1  # from here on less is better
    means = [_mean([sign * value for value in other[:epoch]]) for other in others]
    return _best([sign * value for value in curve]) > statistics.median(means)


def _mean(values: Curve) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return statistics.fmean(finite) if finite else math.inf


def _best(values: Curve) -> float:
    return min((value for value in values if math.isfinite(value)), default=math.inf)
