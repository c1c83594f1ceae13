"""Whether a model is better than knowing no more than how frequent the classes are. Pure, seeded."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from models.evaluation import metrics
from models.evaluation.bootstrap import Samples, interval, resample

_LESS_IS_BETTER = ("log_loss",)


def against_majority(
    overall: Mapping[str, float | None],
    samples: Samples,
    label: np.ndarray,
    classes: Sequence[str],
    *,
    probable: bool,
    level: float,
    seed: int,
) -> dict[str, Any]:
    """A model beside one that gives every example the classes' shares among the labels as scores.

    Args:
        overall: The model's, of `metrics.overall`.
        samples: The model's overall metrics on resamples, name -> `[R]`, of `bootstrap.resample`.
        label: int `[N]`.
        classes: K names.
        probable: Whether the model's scores are probabilities.
        level: Of the intervals.
        seed: Of the resamples, so that differences pair.

    Returns:
        `class`, the most frequent one; `accuracy` of always saying it; for every metric `value`, what the shares come
        to, `difference`, by how much the model's is greater, its `interval` (None where there are no samples), and
        `beaten`: whether all of that is on the better side of 0; in `metrics`, by name.
    """
    counts, nothing = np.bincount(label, minlength=len(classes)), np.zeros(len(label))
    shares = np.broadcast_to(counts / len(label), (len(label), len(classes)))
    known = metrics.overall(shares, label, nothing, probable=probable)
    resamples = len(samples["accuracy"])
    others, _ = resample(shares, label, nothing, probable=probable, resamples=resamples, seed=seed)
    return {
        "class": classes[int(counts.argmax())],
        "accuracy": known["accuracy"],
        "metrics": {
            name: _compared(name, overall[name], value, samples, others, level)
            for name, value in known.items()
            if name != "loss" and value is not None and overall.get(name) is not None
        },
    }


def _compared(
    name: str, own: float, value: float, samples: Samples, others: Samples, level: float
) -> dict[str, float | list[float] | bool | None]:
    within = interval(samples[name] - others[name], level) if name in samples and name in others else None
    better = within is not None and (within[1] < 0 if name in _LESS_IS_BETTER else within[0] > 0)
    return {"value": value, "difference": own - value, "interval": within, "beaten": better}
