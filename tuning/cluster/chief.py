"""The chief of a search on several machines: hands trials out to workers, and takes their ends. Without a network.

A trial that is handed out is held by a worker until its end comes, until it is given back, or until the worker has been
silent too long: then it is queued again under its own number, and goes to the next worker that asks. Each time that a
number is handed out again it has another id ('7', then '7-1f2e3d4c'), which tells the late word of a worker that was
taken for lost from that of the one that has the trial now.

The first end with a score counts, whoever brings it; all later ones change nothing.
"""

import collections
import dataclasses
import secrets
import time
from collections.abc import Callable, Mapping

from base.errors import StartAgain, input_error
from tuning.cluster.options import PATIENCE, SILENT_SECONDS
from tuning.cluster.presence import Presence
from tuning.cluster.reports import Reports
from tuning.cluster.results import Told, write_end
from tuning.cluster.wire import number_of
from tuning.hours import Hours
from tuning.oracles.journal import Journal
from tuning.oracles.proposal import Proposal, Wait
from tuning.plan import SearchPlan
from tuning.search_directory import SearchDirectory
from tuning.trial import TrialResult, read_result


@dataclasses.dataclass(kw_only=True)
class Held:
    """A trial that a worker has."""

    proposal: Proposal
    trial_id: str
    worker: str  # "": it had the trial before this process began, and has not said its name
    began: float  # when it got it
    seen: float  # when it last said something
    reports: Reports = dataclasses.field(default_factory=Reports)


class Chief:
    """What a chief knows and decides. For one thread, as the oracle is.

    Args:
        plan: Of the search.
        directory: The search's folder, locked; gets each trial's `result.json`.
        journal: Of the oracle. What had been proposed and not ended is handed out first.
        hours: How long new trials are handed out; those that were lost are, even afterwards.
        silent_seconds: After which a worker is taken for lost.
        patience: Seconds without any worker after which the chief gives up.
        say: Told in a line what a person may want to know.
        on_end: Told each result.
        clock: Seconds.
    """

    def __init__(
        self,
        plan: SearchPlan,
        directory: SearchDirectory,
        journal: Journal,
        *,
        hours: Hours,
        silent_seconds: float = SILENT_SECONDS,
        patience: float = PATIENCE,
        say: Callable[[str], None] = lambda text: None,
        on_end: Callable[[TrialResult], None] = lambda result: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan, self._directory, self._journal, self._hours = plan, directory, journal, hours
        self.silent_seconds, self._patience, self.clock = silent_seconds, patience, clock
        self._say, self._on_end = say, on_end
        self._held: dict[int, Held] = {}
        self._queue = collections.deque(journal.running)
        self._handed_out = {proposal.number for proposal in journal.running}  # or may have been
        self._lost: dict[str, str] = {}  # id of a trial that was queued again -> the worker that had it so
        self._presence = Presence(silent_seconds, clock())
        self._is_over = False
        self.results = {one.number: read_result(directory.trial(one.number)) for one in journal.ended}
        for proposal in journal.running:
            result = read_result(directory.trial(proposal.number))
            if result is not None:  # this process' predecessor was killed before it told the oracle
                self._end(result)

    @property
    def workers(self) -> list[str]:
        """Those that may ask again: they were not told that the search is over, and are not silent."""
        return self._presence.names

    @property
    def running(self) -> list[Held]:
        """The trials that workers have."""
        return list(self._held.values())

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to hand out, now or later."""
        return self._is_over

    def ask(self, worker: str) -> Held | Wait | None:
        """A trial for a worker, which has one at a time: the one that it has, where it has one.

        Returns:
            Wait: none for now. None: the search is over.
        """
        self._presence.came(worker, self.clock())
        held = next((one for one in self._held.values() if one.worker == worker), None)
        proposal = held.proposal if held else self._next()
        if held is None and proposal is not None:
            number, again = proposal.number, proposal.number in self._handed_out
            trial_id = f"{number}-{secrets.token_hex(4)}" if again else str(number)
            self._handed_out.add(number)
            held = self._hold(proposal, trial_id, worker)
        if held is not None:
            held.seen = self.clock()
            return held
        if self._held:
            return Wait()  # even where nothing new will come: one of these may be lost yet
        self._is_over = True
        self._presence.left(worker)
        return None

    def hear(self, trial_id: str) -> Held | None:
        """A sign of life of the worker that has a trial; None: it is no longer that worker's.

        Raises:
            InputError: There is no such trial.
        """
        number = self._known(trial_id)
        held = self._held.get(number)
        if held is None:
            proposal = next((one for one in self._queue if one.number == number), None)
            if proposal is None:
                return None
            self._queue.remove(proposal)  # a worker that was silent, or that knew this process' predecessor
            held = self._hold(proposal, trial_id, self._lost.get(trial_id, ""))
            self._say(f"trial {number} goes on where it was: its worker is back")
        if held.trial_id != trial_id:
            return None
        held.seen = self.clock()
        self._presence.heard(held.worker, held.seen)
        return held

    def report(self, trial_id: str, metrics: Mapping[str, float], step: int) -> Held | None:
        """As `hear`, with metrics after so many steps, which are epochs."""
        held = self.hear(trial_id)
        if held is not None:
            held.reports.add(metrics, step)
        return held

    def give_back(self, trial_id: str) -> None:
        """A worker will not go on with a trial: it is queued again."""
        number = self._known(trial_id)
        held = self._held.get(number)
        if held is not None and held.trial_id == trial_id:
            self._requeue(held, "its worker gave it back")

    def end(self, trial_id: str, told_of: Callable[[Proposal, Held | None], Told]) -> None:
        """A trial's end.

        Args:
            trial_id: Under which the worker had it.
            told_of: What came of the trial, from what was proposed and what is known of the worker that has it.

        Raises:
            InputError: There is no such trial, or `told_of` says so.
        """
        number = self._known(trial_id)
        if number in self.results:
            return
        held = self.hear(trial_id)
        proposal = held.proposal if held else self._held[number].proposal
        told = told_of(proposal, held)
        if held is None and told.result.score is None:
            return  # another worker has it now, and may do better
        write_end(self._directory, self._plan, proposal, told, held.worker if held else "")
        self._end(told.result)

    def proposal(self, number: int) -> Proposal:
        """What was proposed under a number that `hear` knows."""
        return next(one for one in self._journal.proposed if one.number == number)

    def look(self) -> None:
        """Takes silent workers for lost, and finds out whether the search is over.

        To be called at least ten times in `silent_seconds`.

        Raises:
            StartAgain: There are trials left, and no worker has been there for too long.
        """
        now = self.clock()
        if self._presence.was_deaf(now):
            for held in self._held.values():
                held.seen = now
        for held in self.running:
            if now - held.seen >= self.silent_seconds:
                self._requeue(held, f"worker {held.worker or 'unknown'} was silent for {self.silent_seconds:g} s")
        silent = self._presence.drop_silent(now)
        if silent and not self.workers and not self._held and not self._is_over:
            how_long = f"for up to {self._patience:g} s"
            self._say(f"no worker is left: waiting for others {how_long} (Ctrl-C ends, and the same command goes on)")
        if not self._held and not self._is_over:
            proposal = self._next()
            if proposal is None:
                self._is_over = True
            else:
                self._queue.appendleft(proposal)
        alone = self._presence.seconds_alone(now, trains=bool(self._held))
        if alone >= self._patience and not self._is_over:
            raise StartAgain(f"Expected a worker within {self._patience:g} s. Start some, and the same command again.")

    def _next(self) -> Proposal | None:
        """What is to be handed out now."""
        if self._queue:
            return self._queue.popleft()
        if self._is_over or self._hours.are_over:
            return None
        proposal = self._journal.propose()
        return proposal if isinstance(proposal, Proposal) else None

    def _hold(self, proposal: Proposal, trial_id: str, worker: str) -> Held:
        now = self.clock()
        held = Held(proposal=proposal, trial_id=trial_id, worker=worker, began=now, seen=now)
        self._held[proposal.number] = held
        return held

    def _requeue(self, held: Held, why: str) -> None:
        del self._held[held.proposal.number]
        self._lost[held.trial_id] = held.worker
        self._queue.append(held.proposal)
        self._say(f"trial {held.proposal.number} is queued again: {why}")

    def _known(self, trial_id: str) -> int:
        number = number_of(trial_id)
        is_known = number in self.results or number in self._held or any(one.number == number for one in self._queue)
        if not is_known:
            raise input_error("Expected a trial of this search", trial_id=trial_id)
        return number

    def _end(self, result: TrialResult) -> None:
        self._held.pop(result.number, None)
        self._queue = collections.deque(one for one in self._queue if one.number != result.number)
        self.results[result.number] = result
        self._journal.tell(result.number, result.score, result.reason)
        self._hours.save()
        self._on_end(result)
