"""From a search's score to that of a model: what the retrained ones came to, and why it may be another number. Pure."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from tuning.final.plan import FinalRun
from tuning.final.training import FinalScore
from tuning.live import epochs_of
from tuning.plan import SearchPlan
from tuning.space.space import settings
from tuning.trial import TrialResult

_OF_EPOCHS = {"val_loss": "loss", "val_accuracy": "accuracy"}


def final_report(
    plan: SearchPlan,
    tried: int,
    scores: Sequence[tuple[FinalRun, FinalScore]],
    asked: Mapping[str, Any],
    threads: Mapping[int, int | None],
) -> dict[str, Any]:
    """The content of `final.json`.

    Args:
        plan: Of the search.
        tried: Trials of the search that had a score.
        scores: Of all final trainings, in any order.
        asked: What was asked for: with the same, nothing is left to do.
        threads: Number of a trial -> threads that an operation had in it.

    Returns:
        `objective`, `better`, `asked`, `tried`; `finalists`, the best first: `rank`, `trial`, `label`, `values`,
        `epochs` (in the search, and now), `search`, `validation` and `test` (metric -> `mean` and `deviation`, of a
        sample, None for one value; the metrics are the objective, `loss` and `accuracy`, where they are known), and
        `runs`, a seed each; `why`: why the numbers may differ, in sentences.
    """
    finalists = []
    for rank in sorted({run.rank for run, _ in scores}):
        own = sorted(((run, score) for run, score in scores if run.rank == rank), key=lambda pair: pair[0].seed)
        finalists.append(_finalist(plan, own))
    content = {
        "objective": plan.objective.name,
        "better": plan.objective.better,
        "asked": dict(asked),
        "tried": tried,
        "finalists": finalists,
    }
    return {**content, "why": _why(plan, content, [score for _, score in scores], threads)}


def final_table(content: Mapping[str, Any]) -> Table:
    """The finalists, a row a metric."""
    titles = ("rank", "trial", "seeds", "metric", "search, validation", "retrained, validation", "retrained, test")
    table = Table(*titles, box=None)
    for finalist in content["finalists"]:
        heads = [str(finalist["rank"]), f"{finalist['trial']}, {finalist['label']}", _seeds(finalist)]
        for metric in finalist["test"]:
            cells = [_spread(finalist[part].get(metric)) for part in ("search", "validation", "test")]
            table.add_row(*heads, metric, *cells)
            heads = [""] * len(heads)
    return table


def final_failures(content: Mapping[str, Any]) -> list[str]:
    """A line a training without a score."""
    return [
        f"trial {finalist['trial']}, seed {run['seed']}, failed: {run['reason']} (see {run['log']})"
        for finalist in content["finalists"]
        for run in finalist["runs"]
        if run["reason"]
    ]


def spread_of(values: Sequence[float]) -> dict[str, float | None] | None:
    """Mean and deviation of a sample; None of none.

    Example:
        >>> spread_of([1.0, 3.0])
        {'mean': 2.0, 'deviation': 1.4142135623730951}
    """
    if not values:
        return None
    return {"mean": statistics.fmean(values), "deviation": statistics.stdev(values) if len(values) > 1 else None}


def _finalist(plan: SearchPlan, own: Sequence[tuple[FinalRun, FinalScore]]) -> dict[str, Any]:
    run, trial = own[0][0], own[0][0].trial
    good = [score for _, score in own if not score.reason]
    metrics = list(dict.fromkeys([_OF_EPOCHS.get(plan.objective.name, plan.objective.name), "loss", "accuracy"]))
    return {
        "rank": run.rank,
        "trial": trial.number,
        "label": trial.label,
        "values": trial.values,
        "epochs": {
            "search": trial.epochs or epochs_of({**plan.options, **settings(plan.space, trial.values)}),
            "retrained": epochs_of(run.recipe),
        },
        "search": {metric: value for metric in metrics if (value := _searched(plan, trial, metric)) is not None},
        "validation": _spreads(metrics, [_without_prefix(score.validation) for score in good]),
        "test": _spreads(metrics, [score.test for score in good]),
        "runs": [{**vars(score), "folder": str(run.run), "log": str(run.folder / "log.txt")} for run, score in own],
    }


def _searched(plan: SearchPlan, trial: TrialResult, metric: str) -> dict[str, float | None] | None:
    """What the search saw of a metric on the validation split."""
    if metric == _OF_EPOCHS.get(plan.objective.name, plan.objective.name):
        return {"mean": trial.score, "deviation": trial.deviation}
    value = trial.metrics.get(f"val_{metric}")
    return None if value is None else {"mean": value, "deviation": None}


def _without_prefix(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name.removeprefix("val_"): value for name, value in metrics.items()}


def _spreads(metrics: Sequence[str], each: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    spreads = {metric: spread_of([one[metric] for one in each if metric in one]) for metric in metrics}
    return {metric: spread for metric, spread in spreads.items() if spread is not None}


def _why(
    plan: SearchPlan, content: Mapping[str, Any], scores: Sequence[FinalScore], threads: Mapping[int, int | None]
) -> list[str]:
    """Why a retrained score may be another than the search's: what holds of these."""
    tried, finalists = content["tried"], content["finalists"]
    said = []
    if tried > 1:
        said.append(
            f"The search's score is the best of {tried}: chosen by it, it is the better for luck (the winner's curse), "
            "and another training is likely to come out worse on the same images."
        )
    said.append("Seeds the search has not used draw other weights, another order and other augmentation.")
    epochs = {tuple(one["epochs"].values()) for one in finalists}
    said += [f"It is trained for {new} epochs, and was for {old}." for old, new in epochs if new not in (old, None)]
    if plan.oracle.algorithm == "hyperband":
        said.append("Hyperband trained it in rungs, each from the checkpoint before; now it is trained in one go.")
    now = {score.threads for score in scores if score.threads}
    before = {threads.get(one["trial"]) for one in finalists} - {None}
    if now and before and now != before:
        said.append(
            f"{_numbers(now)} threads an operation in place of {_numbers(before)} add numbers up in another order, and "
            "round otherwise."
        )
    if plan.objective.name != "val_loss" and not plan.judges_last:
        said.append(
            f"The search took a trial's best {plan.objective.name}; a run keeps its weights of lowest val_loss."
        )
    said.append(
        "The validation split has chosen the hyperparameters and the epoch, which flatters scores on it; the test "
        "split has chosen nothing: its score is the one to state."
    )
    return said + _uncertainty(finalists[0], scores)


def _uncertainty(finalist: Mapping[str, Any], scores: Sequence[FinalScore]) -> list[str]:
    """What the size of the test split alone leaves open: the standard error of a share."""
    share, count = finalist["test"].get("accuracy"), next((one.examples for one in scores if one.examples), None)
    if share is None or count is None:
        return []
    error = math.sqrt(share["mean"] * (1 - share["mean"]) / count)
    return [
        f"On {count:,} test images an accuracy of {share['mean']:.4f} has a standard error of {error:.4f}, which the "
        "deviation over seeds does not hold."
    ]


def _seeds(finalist: Mapping[str, Any]) -> str:
    return ", ".join(str(run["seed"]) for run in finalist["runs"] if not run["reason"])


def _spread(value: Mapping[str, float | None] | None) -> str:
    if value is None:
        return "-"
    return f"{value['mean']:.4f}" + ("" if value["deviation"] is None else f" ± {value['deviation']:.4f}")


def _numbers(values: set[int]) -> str:
    return " and ".join(map(str, sorted(values)))
