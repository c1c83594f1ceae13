"""A search as the command runs it: in slots of this machine, with a table of what goes on."""

import contextlib
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

from base.errors import require
from base.options import to_dict
from models.training.options import HardwareOptions
from pipelines.reading.budget import Budget
from scripts import train
from scripts.searching.size_check import limits_of, size_check
from tuning.hours import Hours
from tuning.live import Overview, view
from tuning.plan import SearchPlan
from tuning.processes.machine import find_machine
from tuning.processes.slots import Slot, slots
from tuning.ranking import line, write_ranking
from tuning.search_directory import SearchDirectory
from tuning.search_options import ParallelOptions, SearchOptions
from tuning.space.space import describe

if TYPE_CHECKING:
    from tuning.search import Search

TRAIN = (sys.executable, train.__file__)
_THREADS = ("intra_op_threads", "inter_op_threads", "decode_threads")


def slots_for(options: Mapping[str, Any]) -> tuple[Slot, ...]:
    """Where trials run, each with its share of the memory for held data, and the thread counts that the user gives.

    Raises:
        InputError: More is asked for than the machine has; GPUs are to be used otherwise than the places do.
    """
    asked: ParallelOptions = options["parallel"]
    found = slots(asked.parallel, asked.devices_per_trial, find_machine(), bound=asked.bind_cores)
    budget = Budget(options["reading"].memory_budget)
    _require_strategy_of(found[0], options["hardware"])
    given = to_dict(options["hardware"], options["reading"])
    own = {name: given[name] for name in _THREADS if given[name] is not None}
    own["memory_budget"] = budget.total // len(found)
    return tuple(dataclasses.replace(slot, options={**slot.options, **own}) for slot in found)


def _require_strategy_of(slot: Slot, asked: HardwareOptions) -> None:
    """Refuses what a place on GPUs would override without a word."""
    if "strategy" not in slot.options:
        return
    differing = {
        name: value
        for name, value, there in (
            ("strategy", asked.strategy, slot.options["strategy"]),
            ("replicas", asked.replicas, slot.options.get("replicas", 1)),
        )
        if value not in (None, "auto", there)
    }
    require(
        not differing,
        "Expected --devices-per-trial to say over how many GPUs a trial is mirrored, and no other option",
        **differing,
    )


def search_in(
    directory: SearchDirectory,
    plan: SearchPlan,
    options: Mapping[str, Any],
    places: Sequence[Slot],
    budget: Mapping[str, Any],
    lock: int,
    console: Console,
) -> None:
    """Searches to the end, or until it is interrupted, and writes the ranking.

    Args:
        directory: Where to, locked and prepared.
        plan: What to search.
        options: Title -> instance, of the command.
        places: Where trials run.
        budget: Goes into the ranking.
        lock: The directory's.
        console: Where to say what happens.
    """
    asked: SearchOptions = options["search"]
    console.print("searched", *describe(plan.space), sep="\n  ")
    console.print("trials run", *(slot.describe() for slot in places), sep="\n  ")
    described = [slot.describe() for slot in places]
    limits = limits_of(options["sizes"], places)

    def warn(text: str) -> None:
        console.print(f"warning: {text}", soft_wrap=True)

    with (
        size_check(limits, places, warn) as check,
        console.status("KerasTuner is loading") as status,
    ):
        # Brings TensorFlow, which takes seconds: refusals and --help come before it.
        from tuning.oracles.journal import Journal
        from tuning.oracles.oracle import Oracle
        from tuning.report.report import LiveReport
        from tuning.search import Search

        report = LiveReport(directory, plan, described)

        def show(overview: Overview) -> None:
            status.update(view(overview))
            report.look(overview)

        search = Search(
            plan,
            directory,
            places,
            Journal(directory.journal, Oracle(plan.space, plan.oracle, seed=plan.seed)),
            TRAIN,
            lock,
            hours=Hours(directory.hours, asked.hours),
            stop_hopeless=asked.stop_hopeless,
            why_impossible=check.why_impossible,
            watch=show,
        )
        run_trials(search, directory, plan, console)
    _conclude(directory, plan, asked, described, budget, console)


def run_trials(search: "Search", directory: SearchDirectory, plan: SearchPlan, console: Console) -> None:
    """Runs a search's trials, and prints each; none of them runs any more when this ends, whatever way it does.

    Args:
        search: To be run.
        directory: Its folder.
        plan: Of the search.
        console: Where to print.
    """
    from tuning.report.tensorboard import write_trial

    for result in directory.results():  # a search that was killed may have recorded what it did not show
        write_trial(directory, plan, result)
    with contextlib.closing(search.run()) as results:
        for result in results:
            console.print(line(result, plan.objective, plan.trials), soft_wrap=True)
            write_trial(directory, plan, result)


def _conclude(
    directory: SearchDirectory,
    plan: SearchPlan,
    asked: SearchOptions,
    described: Sequence[str],
    budget: Mapping[str, Any],
    console: Console,
) -> None:
    """Writes the report and the ranking of a search that has come to its end."""
    from tuning.report.report import write_report

    write_report(directory, plan, described)
    results = directory.results()
    if plan.oracle.trials is not None and len(results) < plan.oracle.trials and asked.hours is None:
        console.print(f"no other combination was found after {len(results)} trials")
    require(bool(results), "Expected --hours that are enough for a trial", hours=asked.hours)
    write_ranking(plan, directory, results, budget)
