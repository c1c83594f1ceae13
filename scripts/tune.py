#!/usr/bin/env python
"""Searches hyperparameters: `scripts/tune.py --data DIR --out DIR --trials N [any option of train.py]`."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from base import command, native_log
from base.errors import StartAgain, require
from base.options import neutral_names, option, parse
from scripts.searching.alone import search_in, slots_for
from scripts.searching.chief import serve_in
from scripts.searching.final_training import require_final, train_best
from scripts.searching.plan import search_plan
from scripts.searching.worker import work
from scripts.training import options as train_options
from tuning.cluster.options import ClusterOptions
from tuning.final.options import FinalOptions
from tuning.oracles.options import OracleOptions
from tuning.plan import SearchPlan
from tuning.ranking import failures, ranked, ranking_table
from tuning.search_directory import SearchDirectory
from tuning.search_options import ParallelOptions, SearchOptions
from tuning.sizes.options import SizeOptions
from tuning.space.recipe import is_searched


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecipeOptions:
    """Of train.py's own options, those that a recipe may hold."""

    evaluate_on: str | None = option(None, "goes into best.yaml as it is; the search looks at validation only")


GROUPS = {
    "search": SearchOptions,
    "algorithm": OracleOptions,
    "parallel": ParallelOptions,
    "machines": ClusterOptions,
    "sizes": SizeOptions,
    "then": FinalOptions,
    "recipe": RecipeOptions,
    **{title: group for title, group in train_options.GROUPS.items() if title != "run"},
}
DESCRIPTION = (
    "Searches hyperparameters, several trials at a time, each the train command in a process of its own, judged on the "
    "validation split. An option that is given here, or by --config, is fixed, unless the recipe says between what it "
    "is searched; --seed also draws the combinations. The same command again goes on with a search that was stopped."
)
WIDE = 10_000  # columns where the output is no terminal: a row is a line


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return command.run(_main, argv)


def _main(argv: Sequence[str] | None) -> None:
    argv = sys.argv[1:] if argv is None else argv
    options = parse("tune.py", DESCRIPTION, GROUPS, argv, leave_out=is_searched)
    asked: SearchOptions = options["search"]
    plan = search_plan(argv, options)
    require_final(options, plan)
    machines: ClusterOptions = options["machines"]
    trains = machines.chief is None or options["then"].then_train  # a chief itself needs no GPUs, or none so many
    places = slots_for(options) if trains else ()
    budget = {"trials": plan.oracle.trials, "hours": asked.hours}
    directory = SearchDirectory(Path(asked.out))
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else WIDE)
    if machines.worker_of is not None:
        work(directory, plan, options, places, neutral_names(GROUPS.values()), console)
        return
    with directory.locked(lambda: console.print(f"waiting for another process that works in {asked.out}")) as lock:
        if directory.is_finished(plan.identity(), budget, overwrite=asked.overwrite):
            console.print(f"finished already: {directory.path}")
        else:
            with native_log.captured() as log:
                log.keep_in(directory.log)
                try:
                    if machines.chief is not None:
                        serve_in(directory, plan, options, budget, console)
                    else:
                        search_in(directory, plan, options, places, budget, lock, console)
                except (KeyboardInterrupt, command.Terminated, StartAgain):
                    console.print("stopped; the same command goes on. So far:", soft_wrap=True)
                    print_ranking(plan, directory, console)
                    raise
        print_results(plan, directory, console)
        train_best(directory, plan, options, places, lock, console)


def print_results(plan: SearchPlan, directory: SearchDirectory, console: Console) -> None:
    """The ranking, and what failed.

    Raises:
        InputError: All trials failed.
    """
    results = directory.results()
    for text in failures(results, directory):
        console.print(text, soft_wrap=True)
    order = ranked(results, plan.objective)
    do = "Mend what failed, and search anew with --overwrite."
    require(bool(order), f"Expected one of {len(results)} trials to succeed", do=do)
    print_ranking(plan, directory, console)
    console.print(f"report: {directory.report}", soft_wrap=True)
    console.print(
        f"best: trial {order[0].number}, {order[0].label}; train it: scripts/train.py --config {directory.best}",
        soft_wrap=True,
    )


def print_ranking(plan: SearchPlan, directory: SearchDirectory, console: Console) -> None:
    """The trials that have a score, the best first."""
    console.print(ranking_table(directory.results(), plan.objective))


if __name__ == "__main__":
    command.end(main())
