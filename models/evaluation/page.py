"""`evaluation-SPLIT.html`: the report for people, one page that needs nothing else."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from base.page import render

_TEMPLATE = Path(__file__).parent / "evaluation.html.jinja"
_MOST_CELLS = 20  # classes up to which the confusion matrix is shown whole
_CONFUSIONS = 30

TITLES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "top_2_accuracy": "one of the two best is right",
    "top_3_accuracy": "one of the three best is right",
    "top_5_accuracy": "one of the five best is right",
    "macro_f1": "F1, mean over classes",
    "macro_roc_auc": "ROC-AUC, mean over classes",
    "macro_average_precision": "average precision, mean over classes",
    "log_loss": "log loss",
    "loss": "loss",
}


def rows_of(report: Mapping[str, Any]) -> list[tuple[str, float | None, Sequence[float] | None]]:
    """(title, value, interval) of `metrics` and `intervals`, in the order in which they are read."""
    values, intervals = report["metrics"], report.get("intervals", {})
    return [(title, values[name], intervals.get(name)) for name, title in TITLES.items() if name in values]


def confusions(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> list[tuple[str, str, int]]:
    """(true class, predicted class, how often) of the most frequent mistakes."""
    found = [
        (classes[i], classes[j], count)
        for i, row in enumerate(matrix)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return sorted(found, key=lambda row: -row[2])[:_CONFUSIONS]


def evaluation_page(
    report: Mapping[str, Any], pictures: Mapping[str, str], mistakes: Sequence[Mapping[str, Any]]
) -> str:
    """The page.

    Args:
        report: The content of `evaluation-SPLIT.json`.
        pictures: Title -> data URI.
        mistakes: Of the report's `worst_mistakes`, each with `picture` and, where there is one, `heat`: data URIs.
    """
    classes = report["classes"]
    return render(
        _TEMPLATE,
        report=report,
        titles=TITLES,
        rows=rows_of(report),
        averaged={title: value for title, value, _ in rows_of(report["tta"])} if report["tta"] else {},
        pictures=pictures,
        mistakes=mistakes,
        whole=len(classes) <= _MOST_CELLS,
        confusions=confusions(report["confusion_matrix"], classes),
    )
