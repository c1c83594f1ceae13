"""A worker of a search on several machines, as the command runs it. See `scripts/searching/chief.py`."""

import contextlib
import socket
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from rich.console import Console

from base import native_log
from base.errors import require
from scripts.searching.alone import TRAIN
from scripts.searching.chief import refuse_alone
from scripts.searching.size_check import limits_of, size_check
from tuning.cluster.options import Address, ClusterOptions, address_of
from tuning.hours import Hours
from tuning.live import Overview, view
from tuning.plan import SearchPlan
from tuning.processes.slots import Slot
from tuning.ranking import line
from tuning.search_directory import SearchDirectory
from tuning.search_options import SearchOptions

_BETWEEN_KNOCKS = 0.5  # seconds


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
    refuse_alone(asked)
    address = address_of(machines.worker_of, "--worker-of")
    limits = limits_of(options["sizes"], places)
    require_listening(address, machines.silent_seconds)

    def warn(text: str) -> None:
        console.print(f"warning: {text}", soft_wrap=True)

    with native_log.captured() as log, size_check(limits, places, warn) as check:
        with console.status("KerasTuner is loading"):
            from tuning.cluster.client import ChiefClient, require_same

            chief = ChiefClient(address)
            about = chief.about(machines.silent_seconds)
            require_same(plan.identity(), about["identity"], {*neutral, "data"})
        wait_line = f"waiting for another process that works in {asked.out}: a worker's folder is its own"
        with directory.locked(lambda: console.print(wait_line, soft_wrap=True)) as lock:
            identity = {**plan.identity(), "chief": about["search"]}
            directory.is_finished(identity, {}, overwrite=asked.overwrite)
            log.keep_in(directory.log)
            journal = _journal(chief, plan, directory, places, about["silent_seconds"], console)
            with journal:
                ended = _search(directory, plan, asked, places, journal, lock, check.why_impossible, console)
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


def _journal(
    chief: Any,
    plan: SearchPlan,
    directory: SearchDirectory,
    places: Sequence[Slot],
    silent_seconds: float,
    console: Console,
) -> Any:
    """What stands in for a journal, under this worker's name, which is said."""
    from tuning.cluster.worker import RemoteJournal

    def say(text: str) -> None:
        console.print(text, soft_wrap=True)

    name = f"{socket.gethostname()}:{directory.path.resolve()}"
    say(f"worker of {chief.address}: {name}")
    console.print("trials run", *(slot.describe() for slot in places), sep="\n  ")
    return RemoteJournal(chief, plan, directory, name, len(places), silent_seconds=silent_seconds, say=say)


def _search(
    directory: SearchDirectory,
    plan: SearchPlan,
    asked: SearchOptions,
    places: Sequence[Slot],
    journal: Any,
    lock: int,
    why_impossible: Callable[[Mapping[str, Any]], str],
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
            why_impossible=why_impossible,
            watch=show,
        )
        ended = 0
        with contextlib.closing(search.run()) as results:  # its trials end with this loop, whatever ends that
            for result in results:
                ended += 1
                console.print(line(result, plan.objective, None), soft_wrap=True)
        return ended
