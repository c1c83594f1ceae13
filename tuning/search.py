"""The search: the oracle proposes, processes train, results are recorded and told to the oracle. The only loop."""

import collections
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tuning.active import Active
from tuning.executions import execution_of
from tuning.hours import Hours
from tuning.live import Follower, Overview, epochs_of, overview_of
from tuning.median_rule import is_hopeless
from tuning.oracles.journal import Journal
from tuning.oracles.proposal import Proposal
from tuning.plan import SearchPlan
from tuning.processes.slots import Slot
from tuning.processes.supervisor import Ended, Supervisor
from tuning.run_folder import newest_checkpoint
from tuning.search_directory import SearchDirectory
from tuning.space.label import label
from tuning.trial import (
    LOG,
    RECIPE,
    RUN,
    TrialResult,
    execution_folder,
    read_result,
    result_of,
    write_recipe,
    write_result,
)

LOOK_SECONDS = 1.0
STOPPED = "not worth going on: worse than the median of the others at this epoch"


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
        self._active: dict[int, Active] = {}
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
            active = Active(proposal=proposal, folder=folder, slot=supervisor.free[0], epochs=epochs)
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
            epochs=proposal.epochs,
            parent=proposal.parent,
        )

    def _start(self, supervisor: Supervisor, active: Active) -> None:
        """Starts the trial's next execution, or the same one again."""
        proposal, folder = active.proposal, active.execution
        parent = self._parent_run(proposal, active.number)
        recipe = self._plan.recipe(proposal, active.number, str(parent.resolve()) if parent else None)
        write_recipe(folder / RECIPE, recipe, active.slot)
        done = read_result(self._directory.trial(proposal.parent)).epochs if parent else 0
        active.begin(self._plan.objective, done=done, emptied=self._emptied.get(active.slot.number))
        command = [*self._train_command, "--config", str(folder / RECIPE), "--run", str(active.run)]
        # Not in the recipe, which is to be trained elsewhere, too.
        command += [] if "hold_in" in recipe else ["--hold-in", str(self._directory.held)]
        supervisor.start(active.slot, proposal.number, command, folder / LOG)

    def _parent_run(self, proposal: Proposal, execution: int) -> Path | None:
        """The run that a trial goes on from. Where its checkpoint is not here, as after a chief's search, whose workers
        have it, the trial begins anew and is trained for all its epochs.
        """
        if proposal.parent is None:
            return None
        run = execution_folder(self._directory.trial(proposal.parent), execution) / RUN
        return run if newest_checkpoint(run) else None

    def _collect(self, supervisor: Supervisor, ended: Ended) -> Iterator[TrialResult]:
        """What follows from the end of a trial's process."""
        active = self._active[ended.number]
        self._emptied[active.slot.number] = time.monotonic()
        if active.try_again(ended):
            self._start(supervisor, active)
            return
        execution = execution_of(
            self._plan,
            active.execution,
            ended,
            active.slot,
            seconds=active.seconds,
            began=active.began,
            idle=active.idle,
        )
        active.end(execution)
        if execution.score is not None and not ended.stopped and len(active.executions) < self._plan.executions:
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
            rows.append(active.row(now, self._plan.executions))
            if self._stop_hopeless and active.is_in_its_first_training(now) and self._is_hopeless(number):
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
