"""What trials are judged by: a metric of each epoch, or of an evaluation at the end; always on the validation split."""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from base.errors import input_error, nearest
from tuning.metrics import METRICS, new_rows

OF_EPOCHS = {"val_loss": "min", "val_accuracy": "max"}
TOPS = (2, 3, 5)
# Names of `metrics` in a run's `evaluation.json`; its `loss` and `accuracy` are val_loss and val_accuracy of an epoch.
OF_EVALUATION = {
    **{f"top_{k}_accuracy": "max" for k in TOPS},
    "log_loss": "min",
    "balanced_accuracy": "max",
    "macro_f1": "max",
    "macro_roc_auc": "max",
    "macro_average_precision": "max",
}
EVALUATION = "evaluation.json"
SPLIT = "validation"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judged:
    """What a run is worth.

    Attributes:
        score: The objective.
        epoch: Whose metrics these are, from 1.
        metrics: Name -> value, on the validation split; those of training are `loss` and `accuracy`.
    """

    score: float
    epoch: int
    metrics: dict[str, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
    """A metric that is to become better."""

    name: str
    better: Literal["min", "max"]

    @property
    def is_of_epochs(self) -> bool:
        """Whether each epoch has a value; otherwise the evaluation at the end has it."""
        return self.name in OF_EPOCHS

    @property
    def least_classes(self) -> int:
        """How many classes a data set must have: an evaluation leaves out top k accuracies that are always 1."""
        return next((k + 1 for k in TOPS if self.name == f"top_{k}_accuracy"), 1)

    @property
    def sign(self) -> int:
        """Times the metric: less is better."""
        return 1 if self.better == "min" else -1

    def judge(self, run: Path, *, last: bool = False) -> Judged | None:
        """What a run's folder says; None where it has no finite number for it.

        Args:
            run: The folder.
            last: Whether its last epoch counts, as with `final: last`, and not its best one.
        """
        rows = new_rows(run / METRICS).rows
        if self.is_of_epochs:
            row = rows[-1] if last and rows else best_row(rows, self)
            if row is None or not _is_finite(row.get(self.name)):
                return None
            return Judged(score=row[self.name], epoch=row["epoch"], metrics=_metrics(row))
        # The run keeps the epoch of the lowest loss.
        row = rows[-1] if last and rows else best_row(rows, objective_of("val_loss"))
        metrics = _evaluated(run / EVALUATION)
        if row is None or not _is_finite(metrics.get(self.name)):
            return None
        named = {name: value for name, value in metrics.items() if _is_finite(value)}
        return Judged(score=metrics[self.name], epoch=row["epoch"], metrics={**_metrics(row), **named})


def objective_of(name: str) -> Objective:
    """An objective by its name; one of the evaluation may be called `val_macro_roc_auc`, too.

    Raises:
        InputError: No evaluation gives such a metric.
    """
    known = {**OF_EPOCHS, **OF_EVALUATION}
    short = name if name in known else name.removeprefix("val_")
    if short not in known:
        raise input_error(f"Expected an --objective among {', '.join(known)}", objective=name, do=nearest(name, known))
    return Objective(name=short, better=known[short])


def best_row(rows: Iterable[Mapping[str, Any]], objective: Objective) -> Mapping[str, Any] | None:
    """The row of the best finite value, the first of equals; None where no row has one.

    Example:
        >>> rows = [{"epoch": 1, "val_loss": 0.5}, {"epoch": 2, "val_loss": 0.4}, {"epoch": 3, "val_loss": None}]
        >>> best_row(rows, objective_of("val_loss"))
        {'epoch': 2, 'val_loss': 0.4}
    """
    finite = [row for row in rows if _is_finite(row.get(objective.name))]
    return min(finite, key=lambda row: objective.sign * row[objective.name], default=None)


def _metrics(row: Mapping[str, Any]) -> dict[str, float]:
    names = ("loss", "accuracy", *OF_EPOCHS)
    return {name: row[name] for name in names if _is_finite(row.get(name))}


def _evaluated(path: Path) -> dict[str, Any]:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return report["metrics"] if report["split"] == SPLIT else {}


def _is_finite(value: Any) -> bool:
    return value is not None and math.isfinite(value)
