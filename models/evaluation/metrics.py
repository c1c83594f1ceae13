"""Scores, labels and losses -> metrics. Pure; scikit-learn's where it has them, None where one has no meaning.

scores   float `[N, K]`; the highest is the prediction, the first of equals
label    int `[N]`, 0 to K - 1
loss     float `[N]`
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score

_TOPS = (2, 3, 5)
_RANKED = ("roc_auc", "average_precision")


def overall(scores: np.ndarray, label: np.ndarray, loss: np.ndarray, *, probable: bool) -> dict[str, float | None]:
    """What is said of all examples together.

    Args:
        scores: See the module, as are `label` and `loss`.
        label: See there.
        loss: See there.
        probable: Whether scores are probabilities, so that the log loss has a meaning.

    Returns:
        `loss`, `accuracy`, `top_k_accuracy` (k of 2, 3, 5 below K), `log_loss` (None where scores are not probable),
        and means over the classes: `balanced_accuracy` (of recalls; Brodersen et al. 2010), `macro_f1`,
        `macro_roc_auc`, `macro_average_precision`. A class of which a metric has no meaning is left out of its mean.
    """
    each = per_class(scores, label)
    columns = example_columns(scores, label, loss, probable=probable)
    means = {name: finite(values.mean(dtype=np.float64)) for name, values in columns.items()}
    return {
        **means,
        **({} if probable else {"log_loss": None}),
        "balanced_accuracy": mean_of(each["recall"]),
        "macro_f1": mean_of(each["f1"]),
        **{f"macro_{name}": mean_of(each[name]) for name in _RANKED},
    }


def example_columns(
    scores: np.ndarray, label: np.ndarray, loss: np.ndarray, *, probable: bool
) -> dict[str, np.ndarray]:
    """The metrics that are means over examples: name -> `[N]`."""
    rank = label_ranks(scores, label)
    columns = {"loss": loss, "accuracy": rank == 0}
    columns |= {f"top_{k}_accuracy": rank < k for k in _TOPS if k < scores.shape[1]}
    return columns | ({"log_loss": log_losses(scores, label)} if probable else {})


def label_ranks(scores: np.ndarray, label: np.ndarray) -> np.ndarray:
    """How many classes come before the label's: int `[N]`; of equal scores the first class comes first."""
    own = np.take_along_axis(scores, label[:, None], axis=1)
    before = np.arange(scores.shape[1]) < label[:, None]
    return ((scores > own) | ((scores == own) & before)).sum(axis=1)


def log_losses(scores: np.ndarray, label: np.ndarray) -> np.ndarray:
    """-log of the label's probability, float64 `[N]`; probabilities are kept from 0 by their type's epsilon."""
    tiny = np.finfo(scores.dtype).eps
    own = np.take_along_axis(scores, label[:, None], axis=1)[:, 0]
    return -np.log(np.clip(own, tiny, 1 - tiny).astype(np.float64))


def per_class(scores: np.ndarray, label: np.ndarray) -> dict[str, list[Any]]:
    """What is said of each class against the rest: name -> K values.

    Returns:
        `examples`, `predicted` (how often the class is the prediction); `precision` (None without predictions),
        `recall` (None without examples), `f1` (None without either); `roc_auc` and `average_precision` of the class's
        own scores (None where no example, or every one, is of the class, or a score is not finite).
    """
    matrix = confusion(scores, label)
    right, examples, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    return {
        "examples": examples.tolist(),
        "predicted": predicted.tolist(),
        "precision": _shares(right, predicted),
        "recall": _shares(right, examples),
        "f1": _shares(2 * right, examples + predicted),
        "roc_auc": [_ranked(roc_auc_score, scores, label, place) for place in range(len(matrix))],
        "average_precision": [_ranked(average_precision_score, scores, label, place) for place in range(len(matrix))],
    }


def confusion(scores: np.ndarray, label: np.ndarray) -> np.ndarray:
    """int `[K, K]`: row, the true class; column, the predicted one."""
    return confusion_matrix(label, scores.argmax(axis=1), labels=np.arange(scores.shape[1]))


def undefined(each: dict[str, list[Any]], classes: Sequence[str]) -> list[str]:
    """Sentences on the classes of which a metric has no meaning; `each`: of `per_class`."""
    kinds = {
        "without an example: no recall, ROC-AUC or average precision; left out of the means": [
            examples == 0 for examples in each["examples"]
        ],
        "never predicted: no precision": [
            predicted == 0 < examples for predicted, examples in zip(each["predicted"], each["examples"], strict=True)
        ],
        "the only class there is: no ROC-AUC or average precision": [
            examples == sum(each["examples"]) > 0 for examples in each["examples"]
        ],
    }
    listed = {
        what: [name for name, is_so in zip(classes, which, strict=True) if is_so] for what, which in kinds.items()
    }
    return [f"{what[0].upper()}{what[1:]}: {_listed(names)}" for what, names in listed.items() if names]


def mean_of(values: Sequence[float | None]) -> float | None:
    """Of those that are not None."""
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def finite(value: float) -> float | None:
    """JSON has no word for other numbers."""
    return float(value) if np.isfinite(value) else None


def _shares(part: np.ndarray, whole: np.ndarray) -> list[float | None]:
    return [float(p / w) if w else None for p, w in zip(part, whole, strict=True)]


def _ranked(metric: Any, scores: np.ndarray, label: np.ndarray, place: int) -> float | None:
    own = label == place
    comparable = 0 < own.sum() < len(own) and np.isfinite(scores[:, place]).all()
    return float(metric(own, scores[:, place])) if comparable else None


def _listed(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
