"""A trial that has a slot: which of its executions is trained, since when, and how far that is."""

import dataclasses
import time
from pathlib import Path

from tuning.live import Follower, Row, Standing, row
from tuning.objective import Objective
from tuning.oracles.proposal import Proposal
from tuning.processes.slots import Slot
from tuning.processes.supervisor import Ended
from tuning.run_folder import is_finished
from tuning.trial import RUN, Execution, execution_folder
from tuning.tries import Tries


@dataclasses.dataclass(kw_only=True)
class Active:
    """A trial that runs, through all of its executions.

    Attributes:
        proposal: What is trained.
        folder: The trial's.
        slot: Where it runs.
        epochs: That each execution is to do.
        executions: Those that have ended.
        follower: Of the one that runs.
        began: When its last process was asked for, by `time.monotonic`.
        idle: Seconds that the slot had been empty then; None: nothing had run there.
        seconds: That its earlier processes were there.
    """

    proposal: Proposal
    folder: Path
    slot: Slot
    epochs: int
    executions: list[Execution] = dataclasses.field(default_factory=list)
    follower: Follower | None = None
    began: float = 0.0
    idle: float | None = None
    seconds: float = 0.0
    _tries: Tries = dataclasses.field(default_factory=Tries)  # of the execution that runs

    @property
    def number(self) -> int:
        """Of the execution that runs, from 1."""
        return len(self.executions) + 1

    @property
    def execution(self) -> Path:
        """Its folder."""
        return execution_folder(self.folder, self.number)

    @property
    def run(self) -> Path:
        """The folder of its run."""
        return self.execution / RUN

    def begin(self, objective: Objective, *, done: int, emptied: float | None) -> None:
        """To be called when its process is about to be asked for.

        Args:
            objective: That is followed.
            done: Epochs that the run which it goes on from has done.
            emptied: When the slot's last process ended, by `time.monotonic`.
        """
        self.follower = Follower(self.run, objective, done=done)
        self._tries.begin(self.run)
        self.began = time.monotonic()
        self.idle = None if emptied is None else self.began - emptied

    def try_again(self, ended: Ended) -> bool:
        """Whether the execution whose process has ended is to be started again, which is counted here."""
        self.seconds += ended.seconds
        return ended.goes_on and self._tries.again(self.run)

    def end(self, execution: Execution) -> None:
        """Its execution has ended; the next one begins with nothing."""
        self.executions.append(execution)
        self._tries, self.seconds = Tries(), 0.0

    def is_in_its_first_training(self, now: Standing) -> bool:
        """Whether there are epochs left that it could be spared, by which no other execution is judged."""
        return not self.executions and now.epoch < self.epochs and not is_finished(self.run)

    def row(self, now: Standing, executions: int) -> Row:
        """As the table shows it.

        Args:
            now: How far it is.
            executions: That it will have.
        """
        return row(
            self.proposal.number,
            self.slot.number,
            now,
            epochs=self.epochs,
            seconds=time.monotonic() - self.began,
            more=executions - self.number,
        )
