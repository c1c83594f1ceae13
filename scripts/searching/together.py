"""A search on several machines as the command runs it: the chief, which trains nothing, and a worker."""

import json
import secrets
import socket
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from base import files, native_log
from base.errors import require
from scripts.searching.alone import TRAIN
from tuning.cluster.options import LOOPBACK, Address, ClusterOptions, address_of
from tuning.hours import Hours
from tuning.live import Overview, view
from tuning.plan import SearchPlan
from tuning.processes.slots import Slot
from tuning.ranking import line, ranked, write_ranking
from tuning.search_directory import SearchDirectory
from tuning.search_options import SearchOptions
from tuning.space.space import describe

_BETWEEN_KNOCKS = 0.5  # seconds


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
    """
    machines: ClusterOptions = options["machines"]
    asked: SearchOptions = options["search"]
    _refuse_alone(asked)
    address = address_of(machines.chief, "--chief", host=LOOPBACK)
    console.print("searched", *describe(plan.space), sep="\n  ")
    with console.status("KerasTuner is loading") as status:
        from tuning.cluster.chief import Chief
        from tuning.cluster.server import ChiefServer
        from tuning.oracles.journal import Journal
        from tuning.oracles.oracle import Oracle

        chief = Chief(
            plan,
            directory,
            Journal(directory.journal, Oracle(plan.space, plan.oracle, seed=plan.seed)),
            hours=Hours(directory.hours, asked.hours),
            silent_seconds=machines.silent_seconds,
            say=_soft(console),
            on_end=lambda result: console.print(line(result, plan.objective, plan.trials), soft_wrap=True),
        )
        about = {
            "search": _search_name(directory),
            "silent_seconds": machines.silent_seconds,
            "identity": plan.identity(),
        }

        def show() -> None:
            order = ranked(chief.results.values(), plan.objective)
            best = f", best so far {order[0].score:.4f} (trial {order[0].number})" if order else ""
            failed = len(chief.results) - len(order)
            status.update(f"{len(chief.running)} running, {len(order)} done, {failed} failed{best}")

        with ChiefServer(chief, plan, about, address) as server:
            warning = "" if address.is_loopback else " (no authentication)"
            console.print(
                f"chief: {server.address}{warning}; workers: scripts/tune.py ... --worker-of HOST:{address.port}"
            )
            sys.stdout.flush()
            server.serve(show)
    from tuning.report.report import write_report

    write_report(directory, plan, ["on the workers"])
    results = directory.results()
    require(bool(results), "Expected --hours that are enough for a trial", hours=asked.hours)
    write_ranking(plan, directory, results, budget)


def work(
    directory: SearchDirectory,
    plan: SearchPlan,
    options: Mapping[str, Any],
    places: Sequence[Slot],
    neutral: Collection[str],
    console: Console,
) -> None:
    """Trains what a chief hands out, until the search is over.

    Args:
        directory: This worker's own.
        plan: What the chief must be searching, too.
        options: Title -> instance, of the command.
        places: Where trials run.
        neutral: Names of options that may differ from machine to machine.
        console: Where to say what happens.

    Raises:
        InputError: The chief can't be reached, or searches something else.
    """
    machines: ClusterOptions = options["machines"]
    asked: SearchOptions = options["search"]
    _refuse_alone(asked)
    address = address_of(machines.worker_of, "--worker-of")
    require_listening(address, machines.silent_seconds)
    with native_log.captured() as log:
        with console.status("KerasTuner is loading"):
            from tuning.cluster.client import ChiefClient, require_same
            from tuning.cluster.worker import RemoteJournal

            chief = ChiefClient(address)
            about = chief.about(machines.silent_seconds)
            require_same(plan.identity(), about["identity"], {*neutral, "data"})
        wait_line = f"waiting for another process that works in {asked.out}: a worker's folder is its own"
        with directory.locked(lambda: console.print(wait_line, soft_wrap=True)) as lock:
            identity = {**plan.identity(), "chief": about["search"]}
            directory.is_finished(identity, {}, overwrite=asked.overwrite)
            log.keep_in(directory.log)
            name = f"{socket.gethostname()}:{directory.path.resolve()}"
            journal = RemoteJournal(
                chief,
                plan,
                directory,
                name,
                len(places),
                silent_seconds=about["silent_seconds"],
                say=_soft(console),
            )
            console.print(f"worker of {address}: {name}", soft_wrap=True)
            console.print("trials run", *(slot.describe() for slot in places), sep="\n  ")
            with journal:
                ended = _search(directory, plan, asked, places, journal, lock, console)
        chief.close()
    console.print(f"no trial is left for this worker, which ended {ended}; the ranking is the chief's")


def require_listening(address: Address, seconds: float) -> None:
    """Waits until somebody listens at an address.

    Raises:
        InputError: Nobody has, after so many seconds.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((address.host, address.port), timeout=max(1.0, until - time.monotonic())).close()
            return
        except OSError as error:
            require(
                time.monotonic() < until,
                f"Expected --worker-of to name a chief that can be reached within {seconds:g} s",
                address=str(address),
                error=error.strerror or str(error),
                do="Start scripts/tune.py --chief there first.",
            )
        time.sleep(_BETWEEN_KNOCKS)


def _refuse_alone(asked: SearchOptions) -> None:
    do = "The median rule needs the curves of all trials, and a chief hears of their ends only."
    require(not asked.stop_hopeless, "Expected --stop-hopeless on one machine alone", stop_hopeless=True, do=do)


def _search(
    directory: SearchDirectory,
    plan: SearchPlan,
    asked: SearchOptions,
    places: Sequence[Slot],
    journal: Any,
    lock: int,
    console: Console,
) -> int:
    """Runs trials until the chief has none; returns how many have ended."""
    from tuning.search import Search

    with console.status("waiting for trials") as status:

        def show(overview: Overview) -> None:
            status.update(view(overview))

        search = Search(
            plan,
            directory,
            places,
            journal,
            TRAIN,
            lock,
            hours=Hours(directory.hours, asked.hours),
            watch=show,
        )
        ended = 0
        for result in search.run():
            ended += 1
            console.print(line(result, plan.objective, None), soft_wrap=True)
        return ended


def _soft(console: Console) -> Callable[[str], None]:
    return lambda text: console.print(text, soft_wrap=True)


def _search_name(directory: SearchDirectory) -> str:
    """The same after a restart, another one for another search, also one of the same options."""
    path: Path = directory.chief
    if not path.is_file():
        files.write_json(path, {"search": secrets.token_hex(8)})
    return json.loads(path.read_text(encoding="utf-8"))["search"]
