"""What is trained when a search has ended: the best trials in full, each with seeds that the search has not used."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from base.errors import require
from base.recipes import read_yaml
from tuning.final.options import FinalOptions
from tuning.plan import SearchPlan
from tuning.trial import RECIPE, RUN, TrialResult

SPLIT = "test"  # the search never saw it


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinalRun:
    """One training of one of the best trials."""

    rank: int  # from 1
    trial: TrialResult
    seed: int
    recipe: Mapping[str, Any]
    folder: Path

    @property
    def run(self) -> Path:
        """The folder of its run."""
        return self.folder / RUN


def require_trainable(asked: FinalOptions, plan: SearchPlan, splits: Collection[str]) -> None:
    """Refuses, before a search, what could not follow it.

    Args:
        asked: By the user.
        plan: Of the search.
        splits: Of the data set.

    Raises:
        InputError: There is no test split, or fewer trials than are to be trained; an option that goes unused.
    """
    if not asked.then_train:
        return
    require(
        SPLIT in splits,
        f"Expected a data set with the split {SPLIT} with --then-train: what was searched on can't judge",
        splits=sorted(splits),
    )
    most = plan.trials
    require(most is None or asked.top <= most, f"Expected --top of at most the {most} trials", top=asked.top)
    described = [parameter.describe() for parameter in plan.space if "stages" in parameter.options]
    stages = plan.options.get("stages") or "; ".join(described)
    require(
        asked.then_epochs is None or not stages, "Expected --then-epochs without --stages, which says it", stages=stages
    )


def distinct(best: Sequence[TrialResult]) -> list[TrialResult]:
    """A trial a combination, that of the best rank: Hyperband's rungs are trials of one recipe, which is trained once.

    Args:
        best: Trials, the best first.
    """
    kept: list[TrialResult] = []
    for trial in best:
        kept += [] if any(trial.values == other.values for other in kept) else [trial]
    return kept


def final_runs(plan: SearchPlan, best: Sequence[TrialResult], asked: FinalOptions, folder: Path) -> list[FinalRun]:
    """The trainings: the best trial's first, each trial's seeds beside each other; no combination is there twice.

    Their seeds follow those of the search: a score that the luck of a seed has chosen is not to be had again by it.

    Args:
        plan: Of the search.
        best: Its trials with a score, the best first.
        asked: By the user.
        folder: Where to: `TRIAL-LABEL/seed-S`; the rank is not in it, which may change when the search goes on.
    """
    runs = []
    for rank, trial in enumerate(distinct(best)[: asked.top], start=1):
        recipe = {**plan.best_recipe(trial.values), "data": plan.options["data"], "evaluate_on": SPLIT}
        if asked.then_epochs is not None:
            recipe["epochs"] = asked.then_epochs
        first = recipe["seed"] + plan.executions
        for seed in range(first, first + asked.seeds):
            place = folder / f"{trial.number:02}-{trial.label}" / f"seed-{seed}"
            runs.append(FinalRun(rank=rank, trial=trial, seed=seed, recipe={**recipe, "seed": seed}, folder=place))
    return runs


def require_same(runs: Sequence[FinalRun], given: Collection[str]) -> None:
    """Refuses to go on with trainings that were begun with other options.

    Args:
        runs: That are asked for.
        given: Options that may differ: neutral ones, and those that a slot gives, of which it keeps those that it has.

    Raises:
        InputError: With the differences.
    """
    for run in runs:
        if not (run.folder / RECIPE).is_file():
            continue
        there = read_yaml(run.folder / RECIPE)
        names = [name for name in {**run.recipe, **there} if name not in given]
        differing = [name for name in names if there.get(name) != run.recipe.get(name)]
        listed = "; ".join(f"{name} {there.get(name)!r} there, {run.recipe.get(name)!r} asked" for name in differing)
        require(
            not listed,
            f"Expected a training of these options in {run.folder}. Differing: {listed}",
            do="Move that folder, or choose another --out.",
        )
