"""What a search found: who is best, as lines, a table, `ranking.json` and `best.yaml`."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table

from base import files
from base.options import to_yaml
from tuning.plan import SearchPlan
from tuning.search_directory import SearchDirectory
from tuning.trial import LOG, TrialResult


def ranked(results: Iterable[TrialResult]) -> list[TrialResult]:
    """The trials that did not fail: the lowest validation loss first, the earlier of equals first."""
    return sorted(
        (result for result in results if result.val_loss is not None),
        key=lambda result: (result.val_loss, result.number),
    )


def failed(results: Iterable[TrialResult]) -> list[TrialResult]:
    """The trials that failed, in their order."""
    return [result for result in results if result.val_loss is None]


def write_ranking(plan: SearchPlan, directory: SearchDirectory, results: Sequence[TrialResult]) -> None:
    """Writes `best.yaml`, where a trial succeeded, and then `ranking.json`, which makes the search finished."""
    order = ranked(results)
    if order:
        best = order[0]
        head = (
            f"# The best of {len(results)} trials: trial {best.number}, val_loss {best.val_loss:.4f}, "
            f"val_accuracy {best.val_accuracy:.4f} after epoch {best.epoch}.\n"
            "# scripts/train.py --config THIS_FILE --data DIR --run RUN\n"
        )
        files.write_text(directory.best, head + to_yaml(plan.best_recipe(best.values)))
    content = {
        "objective": "val_loss",
        "trials": len(results),
        "ranking": [dataclasses.asdict(result) for result in order],
        "failed": [dataclasses.asdict(result) for result in failed(results)],
    }
    files.write_json(directory.ranking, content)


def line(result: TrialResult, trials: int) -> str:
    """One trial in one line."""
    if result.val_loss is None:
        measured = f"failed: {result.reason}"
    else:
        measured = f"val_loss {result.val_loss:.4f}  val_accuracy {result.val_accuracy:.4f}"
    number = f"trial {result.number:>{len(str(trials))}}/{trials}"
    return f"{number}  {measured}  {result.seconds:.1f} s  {_values(result.values)}"


def ranking_table(results: Iterable[TrialResult]) -> Table:
    """The ranking, a row a trial."""
    table = Table("rank", "trial", "val_loss", "val_accuracy", "epoch", "seconds", "hyperparameters", box=None)
    for rank, result in enumerate(ranked(results), start=1):
        measured = (f"{result.val_loss:.4f}", f"{result.val_accuracy:.4f}", str(result.epoch), f"{result.seconds:.1f}")
        table.add_row(str(rank), str(result.number), *measured, _values(result.values))
    return table


def failures(results: Iterable[TrialResult], directory: SearchDirectory) -> list[str]:
    """A line a failed trial: why, and where its output is."""
    return [
        f"trial {result.number} failed: {result.reason} (see {directory.trial(result.number) / LOG})"
        for result in failed(results)
    ]


def _values(values: Mapping[str, Any]) -> str:
    return " ".join(
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in values.items()
    )
