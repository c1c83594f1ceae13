"""Whether one model is better than another on the same examples, or was only luckier. Pure."""

from typing import Any

import numpy as np
from scipy.stats import binomtest

from models.evaluation.bootstrap import Samples, interval

_COMPARED = ("accuracy", "balanced_accuracy", "macro_roc_auc", "log_loss")


def mcnemar(right: np.ndarray, other_right: np.ndarray) -> dict[str, Any]:
    """McNemar's exact test: of the examples that only one model has right, would as many each be plausible?

    McNemar: Note on the sampling error of the difference between correlated proportions (1947).

    Args:
        right: bool `[N]`, where one model is right.
        other_right: bool `[N]`, where the other is.

    Returns:
        `only_this` and `only_other`, the examples that only one has right; `p`, the two-sided probability of a division
        at least as uneven if none were better.
    """
    only, other = int((right & ~other_right).sum()), int((other_right & ~right).sum())
    return {
        "only_this": only,
        "only_other": other,
        "p": float(binomtest(only, only + other).pvalue) if only + other else 1.0,
    }


def differences(
    this: dict[str, float | None],
    other: dict[str, float | None],
    samples: Samples,
    other_samples: Samples,
    level: float,
) -> dict[str, dict[str, Any]]:
    """This model's metrics less the other's, with intervals of the paired bootstrap.

    Args:
        this: Of `metrics.overall`.
        other: The same of the other model.
        samples: Of `bootstrap.resample`, on the same examples with the same seed and number of resamples.
        other_samples: The same of the other model.
        level: Of the intervals.

    Returns:
        metric -> `difference` and `interval` (None where there are no samples), where both models have the metric.
    """
    return {
        name: {
            "difference": this[name] - other[name],
            "interval": interval(samples[name] - other_samples[name], level)
            if name in samples and name in other_samples
            else None,
        }
        for name in _COMPARED
        if this.get(name) is not None and other.get(name) is not None
    }
