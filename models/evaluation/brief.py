"""Scores and labels -> `evaluation.json`, what a run says of itself at its end. Pure; no TensorFlow."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from models.evaluation import metrics


def evaluation_report(
    scores: np.ndarray,
    label: np.ndarray,
    loss: np.ndarray,
    classes: Sequence[str],
    split: str,
    *,
    probable: bool,
) -> dict[str, Any]:
    """The content of `evaluation.json`.

    Args:
        scores: float `[N, K]`; the highest is the prediction, the first of equals.
        label: int `[N]`.
        loss: float `[N]`.
        classes: K names.
        split: The split's name.
        probable: Whether scores are probabilities.

    Returns:
        `split`, `examples`, `loss` (None where it is not finite: JSON has no word for it), `accuracy`, `per_class`
        (name -> `precision`, `recall`, `examples`; a precision without predictions is 0), `confusion_matrix` (row: true
        class, column: predicted class), `metrics` (of `metrics.overall`, by name; None where one has no meaning).
    """
    predicted = scores.argmax(axis=1)
    every = np.arange(len(classes))
    precision, recall, _, support = precision_recall_fscore_support(label, predicted, labels=every, zero_division=0)
    return {
        "split": split,
        "examples": len(label),
        "loss": metrics.finite(loss.mean(dtype=np.float64)),
        "accuracy": float((predicted == label).mean()),
        "per_class": {
            name: {"precision": float(p), "recall": float(r), "examples": int(n)}
            for name, p, r, n in zip(classes, precision, recall, support, strict=True)
        },
        "confusion_matrix": confusion_matrix(label, predicted, labels=every).tolist(),
        "metrics": metrics.overall(scores, label, loss, probable=probable),
    }
