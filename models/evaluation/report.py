"""The full report on a split, as JSON can hold it. Pure."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.evaluation import metrics
from models.evaluation.bootstrap import Samples, interval
from models.evaluation.calibration import calibration_errors, reliability

_INTERVALS_OF = ("precision", "recall", "f1", "roc_auc", "average_precision")


def full_report(
    scores: np.ndarray,
    label: np.ndarray,
    loss: np.ndarray,
    classes: Sequence[str],
    samples: tuple[Samples, Samples],
    *,
    probable: bool,
    level: float,
) -> dict[str, Any]:
    """Everything that follows from scores, labels and losses alone.

    Args:
        scores: float `[N, K]`.
        label: int `[N]`.
        loss: float `[N]`.
        classes: K names.
        samples: Of `bootstrap.resample`.
        probable: Whether scores are probabilities.
        level: Of the intervals.

    Returns:
        `examples`; `metrics` and `intervals` by name; `per_class`: name -> its metrics and `intervals`; `calibration`
        (None where scores are not probable); `confusion_matrix` (row: true class, column: predicted class); `notes`:
        sentences on what has no meaning here.
    """
    each = metrics.per_class(scores, label)
    overall = metrics.overall(scores, label, loss, probable=probable)
    diagram = reliability(scores, label) if probable else None
    notes = metrics.undefined(each, classes)
    if not probable:
        notes.append("Scores are no probabilities: no log loss and no calibration")
    if "roc_auc" not in samples[1]:
        notes.append("Too many examples and classes for intervals of ROC-AUC and average precision; fewer --resamples")
    if overall["loss"] is None:
        notes.append("The loss is not finite")
    return {
        "examples": len(label),
        "metrics": overall,
        "intervals": {name: interval(values, level) for name, values in samples[0].items()},
        "per_class": {
            name: {
                **{metric: values[place] for metric, values in each.items()},
                "intervals": {
                    metric: interval(samples[1][metric][:, place], level)
                    if metric in samples[1] and each[metric][place] is not None
                    else None
                    for metric in _INTERVALS_OF
                },
            }
            for place, name in enumerate(classes)
        },
        "calibration": diagram and {**calibration_errors(diagram), "bins": diagram},
        "confusion_matrix": metrics.confusion(scores, label).tolist(),
        "notes": notes,
    }


def worst_mistakes(scores: np.ndarray, label: np.ndarray, loss: np.ndarray, most: int) -> np.ndarray:
    """The examples that are predicted wrong, the highest loss first: int `[at most `most`]`, places in the arrays."""
    wrong = np.flatnonzero(scores.argmax(axis=1) != label)
    return wrong[np.argsort(-np.nan_to_num(loss[wrong], nan=np.inf), kind="stable")][:most]
