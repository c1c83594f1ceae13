"""What a trial's runs wrote after each epoch: its curves, drawn on from those of the trial that it went on from."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from base import files
from tuning.metrics import METRICS, new_rows
from tuning.objective import Objective, best_row
from tuning.search_directory import SearchDirectory
from tuning.trial import RUN, TrialResult, execution_folder

Rows = Sequence[Mapping[str, Any]]  # of a run's metrics.jsonl: an epoch each, with its number from 1


def rows_of(directory: SearchDirectory, result: TrialResult) -> list[Rows]:
    """The rows of each execution; none where it has not got so far."""
    folders = (execution_folder(directory.trial(result.number), number + 1) for number in range(len(result.executions)))
    return [new_rows(folder / RUN / METRICS).rows for folder in folders]


def write_rows(directory: SearchDirectory, result: TrialResult, executions: Sequence[Rows]) -> None:
    """Writes the rows of a trial that was trained elsewhere to where `rows_of` finds them.

    Args:
        directory: Of the search.
        result: Of the trial.
        executions: The rows of each execution; those of more than there are are passed over.
    """
    for number, rows in enumerate(executions[: len(result.executions)], 1):
        run = execution_folder(directory.trial(result.number), number) / RUN
        run.mkdir(parents=True, exist_ok=True)
        files.write_text(run / METRICS, "".join(f"{json.dumps(row)}\n" for row in rows))


def curves(
    rows: Mapping[int, Sequence[Rows]], parents: Mapping[int, int | None], name: str
) -> dict[int, list[tuple[int, float]]]:
    """Trial number -> (epoch, metric) after each epoch, of several executions their mean.

    Args:
        rows: Trial number -> its executions' rows.
        parents: Trial number -> that of the trial that it went on from: its curve begins with that one's.
        name: Of the metric. Epochs where it is not finite, or that not all executions have, are left out.
    """
    own = {number: _mean_curve(executions, name) for number, executions in rows.items()}
    return {number: _with_parent(number, own, parents) for number in rows}


def best_values(rows: Sequence[Rows], objective: Objective) -> float | None:
    """The best value of any epoch, of several executions the mean of each one's best; None where one has none."""
    best = [best_row(one, objective) for one in rows]
    if not best or None in best:
        return None
    return math.fsum(row[objective.name] for row in best) / len(best)


def _mean_curve(executions: Sequence[Rows], name: str) -> list[tuple[int, float]]:
    each = [{row["epoch"]: row[name] for row in rows if _is_finite(row.get(name))} for rows in executions]
    shared = sorted(set.intersection(*map(set, each))) if each else []
    return [(epoch, math.fsum(values[epoch] for values in each) / len(each)) for epoch in shared]


def _with_parent(
    number: int, own: Mapping[int, list[tuple[int, float]]], parents: Mapping[int, int | None]
) -> list[tuple[int, float]]:
    curve, parent = list(own[number]), parents.get(number)
    while curve and parent is not None:
        curve = [point for point in own.get(parent, ()) if point[0] < curve[0][0]] + curve
        parent = parents.get(parent)
    return curve


def _is_finite(value: Any) -> bool:
    return isinstance(value, float | int) and math.isfinite(value)
