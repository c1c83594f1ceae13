"""The search: the oracle proposes, processes train, results are recorded and told to the oracle. The only loop."""

import collections
import dataclasses
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tuning.executions import execution_of
from tuning.hours import Hours
from tuning.live import Follower, Overview, epochs_of, overview_of, row
from tuning.median_rule import is_hopeless
from tuning.oracles.journal import Journal
from tuning.oracles.proposal import Proposal
from tuning.plan import SearchPlan
from tuning.processes.slots import Slot
from tuning.processes.supervisor import TRIES_AFTER_KILLS, Ended, Supervisor
from tuning.search_directory import SearchDirectory
from tuning.space.label import label
from tuning.trial import (
    LOG,
    RECIPE,
    RUN,
    Execution,
    TrialResult,
    execution_folder,
    read_result,
    result_of,
    write_recipe,
    write_result,
)

LOOK_SECONDS = 1.0
STOPPED = "not worth going on: worse than the median of the others at this epoch"


@dataclasses.dataclass(kw_only=True)
class _Active:
    """A trial that has a slot."""

    proposal: Proposal
    folder: Path
    slot: Slot
    epochs: int
    follower: Follower | None = None
    began: float = 0.0  # when its process was asked for
    idle: float | None = None  # seconds that the slot had been empty then
    tries: int = 0
    seconds: float = 0.0  # that the execution's processes have been there
    executions: list[Execution] = dataclasses.field(default_factory=list)


class Search:
    """Runs the trials of a plan in slots, several at a time.

    A search that was interrupted goes on: its journal takes the oracle through what it has proposed and heard, trials
    that had ended are not repeated, and those that had begun go on from their own checkpoints.

    Args:
        plan: What to search.
        directory: Where to, locked.
        slots: Where trials run at the same time.
        journal: Of the oracle: proposes, and is told.
        train_command: How the train command is called, without its options: `[python, ".../train.py"]`.
        lock: The directory's lock. A trial holds it too, so that no second one starts beside it in the same folder,
            even when this process was killed.
        hours: How long trials may be started.
        stop_hopeless: Whether the median rule stops trials.
        why_impossible: Recipe -> why it need not be tried, or "".
        watch: Told about once a second how far the search is.
    """

    def __init__(
        self,
        plan: SearchPlan,
        directory: SearchDirectory,
        slots: Sequence[Slot],
        journal: Journal,
        train_command: Sequence[str],
        lock: int,
        *,
        hours: Hours,
        stop_hopeless: bool = False,
        why_impossible: Callable[[Mapping[str, Any]], str] = lambda recipe: "",
        watch: Callable[[Overview], None] = lambda overview: None,
    ) -> None:
        self._plan, self._directory, self._journal = plan, directory, journal
        self._slots, self._train_command, self._lock = tuple(slots), tuple(train_command), lock
        self._hours, self._why_impossible, self._watch = hours, why_impossible, watch
        self._stop_hopeless = stop_hopeless
        self._active: dict[int, _Active] = {}
        self._waiting = collections.deque(journal.running)
        self._emptied: dict[int, float] = {}  # slot number -> when its last trial had ended
        ended = [read_result(directory.trial(one.number)) for one in journal.ended]
        self._results = [result for result in ended if result is not None]
        self._curves = {result.number: self._curve(result.number) for result in self._results if stop_hopeless}

    def run(self) -> Iterator[TrialResult]:
        """Yields the result of each trial that ends now, in the order of their ends."""
        try:
            with Supervisor(self._slots, keep_open=[self._lock]) as supervisor:
                while True:
                    yield from self._fill(supervisor)
                    if not self._active:
                        return
                    ended = supervisor.wait(LOOK_SECONDS)
                    if ended is not None:
                        yield from self._collect(supervisor, ended)
                    self._look(supervisor)
        finally:
            self._hours.save()  # those since the last trial's end, too
            shutil.rmtree(self._directory.held, ignore_errors=True)

    def _fill(self, supervisor: Supervisor) -> Iterator[TrialResult]:
        """Starts trials while there is room."""
        while supervisor.free:
            proposal = self._next()
            if proposal is None:
                return
            folder = self._directory.trial(proposal.number)
            result = read_result(folder) or self._impossible(proposal)
            if result is not None:
                yield self._end(result)
                continue
            epochs = epochs_of(self._plan.recipe(proposal))
            active = _Active(proposal=proposal, folder=folder, slot=supervisor.free[0], epochs=epochs)
            self._active[proposal.number] = active
            self._start(supervisor, active)

    def _next(self) -> Proposal | None:
        """What is to be started now; None: nothing, for now or for ever."""
        if self._waiting:
            return self._waiting.popleft()
        if self._hours.are_over:
            return None
        proposal = self._journal.propose()
        return proposal if isinstance(proposal, Proposal) else None

    def _impossible(self, proposal: Proposal) -> TrialResult | None:
        """Its result, where it need not be tried. One that was begun is: of the memory less may be free than then."""
        has_begun = (self._directory.trial(proposal.number) / RUN).exists()
        reason = "" if has_begun else self._why_impossible(self._plan.recipe(proposal))
        if not reason:
            return None
        return TrialResult(
            number=proposal.number,
            values=proposal.values,
            label=label(self._plan.space, proposal.values),
            state="impossible",
            reason=reason,
        )

    def _start(self, supervisor: Supervisor, active: _Active) -> None:
        """Starts the trial's next execution, or the same one again."""
        number = len(active.executions) + 1
        folder = execution_folder(active.folder, number)
        parent = active.proposal.parent and execution_folder(self._directory.trial(active.proposal.parent), number)
        recipe = self._plan.recipe(active.proposal, number, str((parent / RUN).resolve()) if parent else None)
        write_recipe(folder / RECIPE, recipe, active.slot)
        active.follower = Follower(folder / RUN, self._plan.objective)
        active.began = time.monotonic()
        emptied = self._emptied.get(active.slot.number)
        active.idle = None if emptied is None else active.began - emptied
        command = [*self._train_command, "--config", str(folder / RECIPE), "--run", str(folder / RUN)]
        # Not in the recipe, which is to be trained elsewhere, too.
        command += [] if "hold_in" in recipe else ["--hold-in", str(self._directory.held)]
        supervisor.start(active.slot, active.proposal.number, command, folder / LOG)

    def _collect(self, supervisor: Supervisor, ended: Ended) -> Iterator[TrialResult]:
        """What follows from the end of a trial's process."""
        active = self._active[ended.number]
        self._emptied[active.slot.number] = time.monotonic()
        active.seconds += ended.seconds
        if ended.goes_on and active.tries < TRIES_AFTER_KILLS:
            active.tries += 1
            self._start(supervisor, active)
            return
        execution = execution_of(
            self._plan,
            execution_folder(active.folder, len(active.executions) + 1),
            ended,
            active.slot,
            seconds=active.seconds,
            began=active.began,
            idle=active.idle,
        )
        active.executions.append(execution)
        if execution.score is not None and not ended.stopped and len(active.executions) < self._plan.executions:
            active.tries, active.seconds = 0, 0.0
            self._start(supervisor, active)
            return
        del self._active[ended.number]
        proposal = active.proposal
        yield self._end(
            result_of(
                proposal.number,
                proposal.values,
                label(self._plan.space, proposal.values),
                active.executions,
                stopped=ended.stopped,
                epochs=proposal.epochs,
                parent=proposal.parent,
            )
        )

    def _end(self, result: TrialResult) -> TrialResult:
        """Records a result, and tells the oracle."""
        write_result(self._directory.trial(result.number), result)
        self._journal.tell(result.number, result.score, result.reason)
        self._hours.save()
        self._results.append(result)
        if self._stop_hopeless:
            self._curves[result.number] = self._curve(result.number)
        return result

    def _look(self, supervisor: Supervisor) -> None:
        """Shows how far the search is, and stops what is not worth going on."""
        rows = []
        for number, active in self._active.items():
            now = active.follower.look()
            seconds = time.monotonic() - active.began
            more = self._plan.executions - len(active.executions) - 1
            rows.append(row(number, active.slot.number, now, epochs=active.epochs, seconds=seconds, more=more))
            if self._stop_hopeless and not active.executions and self._is_hopeless(number):
                supervisor.stop(number, STOPPED)
        self._watch(overview_of(rows, self._results, self._plan, slots=len(self._slots)))

    def _is_hopeless(self, number: int) -> bool:
        return is_hopeless(
            self._active[number].follower.curve,
            [curve for curve in self._curves.values() if curve],
            [other.follower.curve for one, other in self._active.items() if one != number],
            better=self._plan.objective.better,
        )

    def _curve(self, number: int) -> tuple[float, ...]:
        return Follower(self._directory.trial(number) / RUN, self._plan.objective).curve
