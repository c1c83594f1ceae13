"""From search to model, as tune.py runs it: the best trials are trained in full, and judged on the test split."""

import contextlib
import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from base import files
from base.errors import require
from base.recipes import read_yaml
from pipelines.manifest import read_manifest
from scripts import evaluate
from scripts.searching.alone import TRAIN, slots_for
from tuning.final.options import FinalOptions
from tuning.final.plan import FinalRun, distinct, final_runs, require_same, require_trainable
from tuning.final.report import final_failures, final_report, final_table
from tuning.final.training import FinalTraining
from tuning.live import Overview, view
from tuning.plan import SearchPlan
from tuning.processes.slots import Slot
from tuning.ranking import ranked
from tuning.search_directory import SearchDirectory
from tuning.trial import RECIPE, TrialResult

EVALUATE = (sys.executable, evaluate.__file__, "--no-grad-cam")


def require_final(options: Mapping[str, Any], plan: SearchPlan) -> None:
    """Refuses, before a search, what `train_best` could not do.

    Raises:
        InputError: What `require_trainable` refuses.
    """
    manifest = read_manifest(Path(plan.options["data"]))
    require_trainable(options["then"], plan, manifest.splits)


def train_best(
    directory: SearchDirectory,
    plan: SearchPlan,
    options: Mapping[str, Any],
    places: Sequence[Slot],
    lock: int,
    console: Console,
) -> None:
    """Trains the best of a finished search, writes `final.json`, and prints what came out and why it may differ.

    The same command goes on with trainings that were stopped; with those that are finished it prints the result.

    Args:
        directory: Of the search, locked.
        plan: Of the search.
        options: Title -> instance, of the command.
        places: Where the trials ran.
        lock: The directory's.
        console: Where to say what happens.

    Raises:
        InputError: Trainings of other options stand there; none succeeds.
    """
    asked: FinalOptions = options["then"]
    best = ranked(directory.results(), plan.objective)
    if not asked.then_train or not best:
        return
    different = len(distinct(best))
    if different < asked.top:
        console.print(f"--top {asked.top}: so many different combinations have a score: {different}")
    runs = final_runs(plan, best, asked, directory.final)
    wanted = {**dataclasses.asdict(asked), "trials": [run.trial.number for run in runs], "seeds": asked.seeds}
    content = _there(directory, wanted)
    if content is None:
        content = _train(directory, plan, runs, _places(options, places, len(runs)), lock, console, best, wanted)
        files.write_json(directory.final_report, content)
    for text in final_failures(content):
        console.print(text, soft_wrap=True)
    require(
        any(finalist["test"] for finalist in content["finalists"]),
        f"Expected one of {len(runs)} trainings of the best trials to succeed",
        do="Mend what failed, and run the command again.",
    )
    console.print(final_table(content))
    console.print("why the numbers of a row may differ", *content["why"], sep="\n  ", soft_wrap=True)


def _train(
    directory: SearchDirectory,
    plan: SearchPlan,
    runs: Sequence[FinalRun],
    places: Sequence[Slot],
    lock: int,
    console: Console,
    best: Sequence[TrialResult],
    wanted: Mapping[str, Any],
) -> dict[str, Any]:
    require_same(runs, {*places[0].options, *plan.neutral})
    console.print(f"training the best, {_times(len(runs))}, on", *(place.describe() for place in places), sep="\n  ")
    with console.status("starting") as status:

        def show(overview: Overview) -> None:
            status.update(view(overview))

        how = {"objective": plan.objective, "last": plan.judges_last, "watch": show}
        training = FinalTraining(runs, places, TRAIN, EVALUATE, lock, **how)
        scores = []
        with contextlib.closing(training.scores()) as ended:  # whatever happens, none runs after it
            for run, score in ended:
                scores.append((run, score))
                said = f"failed: {score.reason}" if score.reason else _measured(score.test)
                console.print(f"trial {run.trial.number}, seed {run.seed}: {said}  {run.run}", soft_wrap=True)
    threads = {run.trial.number: _threads(directory, run.trial.number) for run in runs}
    return final_report(plan, len(best), scores, wanted, threads)


def _places(options: Mapping[str, Any], places: Sequence[Slot], runs: int) -> Sequence[Slot]:
    """Where the trainings run: as many at a time as there are places for.

    Where they are fewer, cores are dealt out anew. GPUs are not: over more of them each would see another part of the
    batch, whose size batch normalisation depends on, and the trial's score would not be comparable.
    """
    if runs >= len(places) or "CUDA_VISIBLE_DEVICES" in places[0].environment:
        return places
    parallel = dataclasses.replace(options["parallel"], parallel=runs, devices_per_trial=None)
    return slots_for({**options, "parallel": parallel})


def _there(directory: SearchDirectory, wanted: Mapping[str, Any]) -> dict[str, Any] | None:
    """The report that stands there, of the very trainings that are asked for; where one failed, it is tried again."""
    try:
        content = json.loads(directory.final_report.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    whole = not any(run["reason"] for finalist in content["finalists"] for run in finalist["runs"])
    return content if whole and content["asked"] == dict(wanted) else None


def _threads(directory: SearchDirectory, trial: int) -> int | None:
    return read_yaml(directory.trial(trial) / RECIPE).get("intra_op_threads")


def _measured(metrics: Mapping[str, float]) -> str:
    return "  ".join(f"test {name} {value:.4f}" for name, value in metrics.items())


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} trainings"
