"""What a search found: who is best, as lines, a table, `ranking.json` and `best.yaml`."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table

from base import files
from base.recipes import to_yaml
from tuning.objective import Objective
from tuning.plan import SearchPlan
from tuning.search_directory import SearchDirectory
from tuning.trial import LOG, TrialResult

# Those of the ranking that are said beside the objective, where a trial has them.
SAID = ("val_loss", "val_accuracy")


def ranked(results: Iterable[TrialResult], objective: Objective) -> list[TrialResult]:
    """The trials with a score: the best first, the earlier of equals first."""
    return sorted(
        (result for result in results if result.score is not None),
        key=lambda result: (objective.sign * result.score, result.number),
    )


def failed(results: Iterable[TrialResult]) -> list[TrialResult]:
    """The trials without a score, in their order."""
    return [result for result in results if result.score is None]


def write_ranking(
    plan: SearchPlan, directory: SearchDirectory, results: Sequence[TrialResult], budget: Mapping[str, Any]
) -> None:
    """Writes `best.yaml`, where a trial succeeded, and then `ranking.json`, which makes the search finished.

    Args:
        plan: Of the search.
        directory: Its folder.
        results: Of all its trials.
        budget: What it was given: the same search with the same budget is finished.
    """
    objective = plan.objective
    order = ranked(results, objective)
    if order:
        best = order[0]
        head = (
            f"# The best of {len(results)} trials: trial {best.number}, {best.label}: {measured(best, objective)}.\n"
            "# scripts/train.py --config THIS_FILE --data DIR --run RUN\n"
        )
        files.write_text(directory.best, head + to_yaml(plan.best_recipe(best.values)))
    content = {
        "objective": objective.name,
        "better": objective.better,
        "trials": len(results),
        "budget": dict(budget),
        "ranking": [dataclasses.asdict(result) for result in order],
        "failed": [dataclasses.asdict(result) for result in failed(results)],
    }
    files.write_json(directory.ranking, content)


def line(result: TrialResult, objective: Objective, trials: int | None) -> str:
    """One trial in one line."""
    said = f"{result.state}: {result.reason}" if result.score is None else measured(result, objective)
    if result.state == "stopped":
        said += "  stopped"
    total = f"{result.number:>{len(str(trials))}}/{trials}" if trials else str(result.number)
    return f"trial {total}  {said}  {result.seconds:.1f} s  {values_text(result.values)}"


def measured(result: TrialResult, objective: Objective) -> str:
    """The objective and what else is said of a trial with a score: 'val_loss 0.1234  val_accuracy 0.9876'."""
    spread = "" if result.deviation is None else f" ± {result.deviation:.4f}"
    others = [f"{name} {result.metrics[name]:.4f}" for name in _others(objective) if name in result.metrics]
    return "  ".join([f"{objective.name} {result.score:.4f}{spread}", *others])


def ranking_table(results: Iterable[TrialResult], objective: Objective) -> Table:
    """The ranking, a row a trial."""
    others = _others(objective)
    table = Table("rank", "trial", objective.name, *others, "epoch", "seconds", "hyperparameters", box=None)
    for rank, result in enumerate(ranked(results, objective), start=1):
        spread = "" if result.deviation is None else f" ± {result.deviation:.4f}"
        cells = [f"{result.metrics[name]:.4f}" if name in result.metrics else "-" for name in others]
        epochs = ", ".join(str(execution.epoch) for execution in result.executions)
        measured_cells = (f"{result.score:.4f}{spread}", *cells, epochs, f"{result.seconds:.1f}")
        table.add_row(str(rank), str(result.number), *measured_cells, values_text(result.values))
    return table


def failures(results: Iterable[TrialResult], directory: SearchDirectory) -> list[str]:
    """A line a trial without a score: why, and where its output is."""
    return [
        f"trial {result.number} {'failed' if result.state == 'failed' else 'was impossible'}: {result.reason}"
        + (f" (see {directory.trial(result.number) / LOG})" if result.executions else "")
        for result in failed(results)
    ]


def values_text(values: Mapping[str, Any]) -> str:
    """Hyperparameters in a line: 'blocks=3 learning_rate=0.00123'."""
    return " ".join(
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in values.items()
    )


def _others(objective: Objective) -> list[str]:
    return [name for name in SAID if name != objective.name]
