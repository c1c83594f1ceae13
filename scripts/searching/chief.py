"""The chief of a search on several machines, as the command runs it: hands trials out to workers, trains nothing."""

import json
import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from base import files
from base.errors import require
from tuning.cluster.options import LOOPBACK, ClusterOptions, address_of
from tuning.hours import Hours
from tuning.live import Overview, Row, overview_of, summary
from tuning.plan import SearchPlan
from tuning.ranking import line, write_ranking
from tuning.search_directory import SearchDirectory
from tuning.search_options import SearchOptions
from tuning.sizes.options import SizeOptions
from tuning.space.space import describe
from tuning.trial import TrialResult

_PLACES = ("on the workers",)  # until one has brought a result


def serve_in(
    directory: SearchDirectory,
    plan: SearchPlan,
    options: Mapping[str, Any],
    budget: Mapping[str, Any],
    console: Console,
) -> None:
    """Hands the search's trials out to workers, to the end or until it is interrupted, and writes the ranking.

    Args:
        directory: Where to, locked and prepared.
        plan: What to search.
        options: Title -> instance, of the command.
        budget: Goes into the ranking.
        console: Where to say what happens.

    Raises:
        InputError: Nothing can listen at the address.
        StartAgain: No worker has been there for too long.
    """
    asked: SearchOptions = options["search"]
    refuse_alone(asked)
    console.print("searched", *describe(plan.space), sep="\n  ")
    if options["sizes"] != SizeOptions():
        console.print("sizes are checked by the workers: --max-parameters and --max-trial-memory are to be given there")
    _serve(directory, plan, options, console)
    from tuning.report.report import write_report

    write_report(directory, plan, _PLACES)
    results = directory.results()
    require(bool(results), "Expected --hours that are enough for a trial", hours=asked.hours)
    write_ranking(plan, directory, results, budget)


def refuse_alone(asked: SearchOptions) -> None:
    """Refuses what a search on several machines has not got.

    Raises:
        InputError: It is asked for.
    """
    do = "The median rule needs the curves of all trials, and a chief hears of their ends only."
    require(not asked.stop_hopeless, "Expected --stop-hopeless on one machine alone", stop_hopeless=True, do=do)


def overview(chief: Any, plan: SearchPlan) -> Overview:
    """How far a chief's search is: of the trials that run it knows how long they have, not how far they are.

    Args:
        chief: The `Chief`.
        plan: Of the search.
    """
    results, now = list(chief.results.values()), chief.clock()
    trained = [result.seconds for result in results if result.executions]
    mean = sum(trained) / len(trained) if trained else None
    rows = [
        Row(
            trial=held.proposal.number,
            slot=slot,
            epoch=0,
            epochs=held.proposal.epochs or plan.options["epochs"],
            best=None,
            images_per_second=None,
            seconds_left=None if mean is None else max(0.0, mean - (now - held.began)),
        )
        for slot, held in enumerate(chief.running, start=1)
    ]
    return overview_of(rows, results, plan, slots=max(1, len(rows), len(chief.workers)))


def _serve(directory: SearchDirectory, plan: SearchPlan, options: Mapping[str, Any], console: Console) -> None:
    """Hands trials out until none is left."""
    machines: ClusterOptions = options["machines"]
    address = address_of(machines.chief, "--chief", host=LOOPBACK)
    with console.status("KerasTuner is loading") as status:
        from tuning.cluster.server import ChiefServer
        from tuning.report.report import LiveReport
        from tuning.report.tensorboard import write_trial

        def show_end(result: TrialResult) -> None:
            console.print(line(result, plan.objective, plan.trials), soft_wrap=True)
            write_trial(directory, plan, result)

        for result in directory.results():  # a search that was killed may have recorded what it did not show
            write_trial(directory, plan, result)
        chief = _chief(directory, plan, options, show_end, console)
        about = {
            "search": _search_name(directory),
            "silent_seconds": machines.silent_seconds,
            "identity": plan.identity(),
        }
        report = LiveReport(directory, plan, _PLACES)

        def show() -> None:
            now = overview(chief, plan)
            status.update(summary(now))
            report.look(now)

        with ChiefServer(chief, plan, about, address) as server:
            warning = "" if address.is_loopback else " (no authentication)"
            console.print(
                f"chief: {server.address}{warning}; workers: scripts/tune.py ... --worker-of HOST:{address.port}"
            )
            sys.stdout.flush()
            server.serve(show)


def _chief(
    directory: SearchDirectory,
    plan: SearchPlan,
    options: Mapping[str, Any],
    on_end: Callable[[TrialResult], None],
    console: Console,
) -> Any:
    from tuning.cluster.chief import Chief
    from tuning.oracles.journal import Journal
    from tuning.oracles.oracle import Oracle

    return Chief(
        plan,
        directory,
        Journal(directory.journal, Oracle(plan.space, plan.oracle, seed=plan.seed)),
        hours=Hours(directory.hours, options["search"].hours),
        silent_seconds=options["machines"].silent_seconds,
        patience=options["machines"].wait_for_workers,
        say=lambda text: console.print(text, soft_wrap=True),
        on_end=on_end,
    )


def _search_name(directory: SearchDirectory) -> str:
    """The same after a restart, another one for another search, also one of the same options."""
    path: Path = directory.chief
    if not path.is_file():
        files.write_json(path, {"search": secrets.token_hex(8)})
    return json.loads(path.read_text(encoding="utf-8"))["search"]
