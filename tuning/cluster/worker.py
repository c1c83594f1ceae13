"""A worker of a search on several machines: what `Search` takes in place of a journal, and what a chief answers it.

A trial that goes on from another one's checkpoint (Hyperband) needs that one's run. Where this worker has not trained
the parent itself, the trial starts from the beginning and trains for all its epochs: the schedule spans the longest
rung either way, and only the time of the parent's epochs is lost.
"""

import collections
import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any

import grpc

from base.errors import InputError, input_error, require
from tuning.cluster.client import ChiefClient
from tuning.cluster.reports import tell
from tuning.cluster.results import result_text, told_of
from tuning.cluster.wire import RESULT, Status, WireSpace
from tuning.curves import rows_of
from tuning.oracles.journal import Ended
from tuning.oracles.proposal import Proposal, Wait
from tuning.plan import SearchPlan
from tuning.search_directory import SearchDirectory
from tuning.trial import read_result

PATIENCE = 600.0  # seconds without a word of the chief, while no trial runs here, until a worker gives up
_BETWEEN_QUESTIONS = 1.0
_LAST_SIGN = 5.0  # seconds that a sign of life may be on its way; a chief that thinks for longer answers in turn
_LOST = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)


class RemoteJournal:
    """Called like a journal; a chief elsewhere keeps it. To be used by one thread, as a context manager.

    It says every now and then that its trials go on, and gives those back that did not end when its block ends. A
    trial that a killed worker had is handed to the same worker first, and goes on from its own checkpoint.

    Args:
        chief: Which.
        plan: Of this command: no other values are accepted.
        directory: This worker's folder.
        name: Of this worker: another one for each folder, the same one after a restart.
        slots: How many trials run here at the same time.
        silent_seconds: After which the chief takes a worker for lost.
        patience: Seconds that it waits for a chief that is silent, while no trial runs here.
        say: Told in a line what a person may want to know.
    """

    def __init__(
        self,
        chief: ChiefClient,
        plan: SearchPlan,
        directory: SearchDirectory,
        name: str,
        slots: int,
        *,
        silent_seconds: float,
        patience: float = PATIENCE,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._chief, self._plan, self._directory, self._say = chief, plan, directory, say
        self._wire = WireSpace(plan.space, plan.oracle)
        self._patience, self._name = patience, name
        self._free = [f"{name} slot {slot + 1}" for slot in range(slots)]
        self._asked: set[str] = set()  # names that the chief knows
        self._ids: dict[int, tuple[str, str]] = {}  # number of a trial that runs here -> its id, and the slot's name
        self._proposed: dict[int, Proposal] = {}
        self._untold: collections.deque[Any] = collections.deque()  # ends that the chief has not heard of
        self._silent_since: float | None = None
        self._ended = threading.Event()
        self._pulse = threading.Thread(target=self._beat, args=(silent_seconds / 4,), name="signs of life", daemon=True)

    def __enter__(self) -> "RemoteJournal":
        self._pulse.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._pulse.join(_LAST_SIGN)  # a sign of life after a give-back would take the trial out of the queue again
        for number, (trial_id, _) in self._ids.items():
            self._untold.append(self._wire.trial(self._proposed[number], trial_id, Status.IDLE))
        self._ids.clear()
        with contextlib.suppress(InputError):  # of a chief that refuses; what ends this command has been said
            self._tell_all()

    @property
    def running(self) -> list[Proposal]:
        """Trials to go on with: none. The chief hands out again what this worker had."""
        return []

    @property
    def ended(self) -> list[Ended]:
        """Trials that have ended here, in an earlier process too."""
        results = self._directory.results()
        return [Ended(number=one.number, score=one.score, reason=one.reason) for one in results]

    @property
    def proposed(self) -> list[Proposal]:
        """Trials that this process was handed."""
        return list(self._proposed.values())

    def propose(self) -> Proposal | Wait | None:
        """The next trial; Wait: none for now; None: the search is over. Waits itself where no trial runs here.

        Raises:
            InputError: The chief hands out what is not in this command's space, or has been silent for too long.
        """
        while True:
            answer = self._propose()
            if not isinstance(answer, Wait) or self._ids:
                return answer
            self._require_patience()
            time.sleep(_BETWEEN_QUESTIONS)

    def tell(self, number: int, score: float | None, reason: str = "") -> None:
        """How a trial ended; its `result.json` is told, when the chief can hear it."""
        result = read_result(self._directory.trial(number))
        trial_id, name = self._ids.pop(number)
        self._free.insert(0, name)
        status = Status.FAILED if score is None else Status.COMPLETED
        trial = self._wire.trial(self._proposed[number], trial_id, status)
        told = told_of(self._directory, result, self._name)
        trial.hyperparameters.values.values[RESULT].string_value = result_text(told)
        tell(trial, rows_of(self._directory, result))
        if score is not None:
            trial.score.value = score
        self._untold.append(trial)
        self._tell_all()

    def _propose(self) -> Proposal | Wait | None:
        if not self._tell_all():
            return Wait()
        name = self._free[0]
        self._asked.add(name)
        trial = self._called(self._chief.ask, name)
        if trial is None or trial.status == Status.IDLE:
            return Wait()
        if trial.status == Status.STOPPED:
            for other in self._asked & set(self._free[1:]):  # or the chief would wait for their word
                self._called(self._chief.ask, other)
            return None
        proposal = self._wire.proposal(trial)
        require(trial.status == Status.RUNNING, "Expected the chief to hand out a trial", status=trial.status)
        if proposal.number in self._ids:
            self._keep(proposal, trial.trial_id, name)
            return Wait()
        self._require_own(proposal)
        proposal = self._from_here(proposal)
        self._free.remove(name)
        self._proposed[proposal.number], self._ids[proposal.number] = proposal, (trial.trial_id, name)
        return proposal

    def _keep(self, proposal: Proposal, trial_id: str, name: str) -> None:
        """Goes on with a trial that runs here under the id and the name under which it was handed out again.

        A chief that was restarted, or has heard nothing for too long, hands out what runs here to any slot that asks.
        """
        known = self._proposed[proposal.number]
        require(
            (proposal.values, proposal.epochs) == (known.values, known.epochs),
            f"Expected trial {proposal.number} as it runs here",
            proposed=proposal.values,
            do="The chief's search is another one than before.",
        )
        _, before = self._ids[proposal.number]
        self._ids[proposal.number] = (trial_id, name)
        self._free[self._free.index(name)] = before

    def _require_own(self, proposal: Proposal) -> None:
        """What this folder holds of a trial is of the same values."""
        result = read_result(self._directory.trial(proposal.number))
        require(
            result is None or (result.values == proposal.values and result.epochs == proposal.epochs),
            f"Expected this worker's trial {proposal.number} to be the chief's",
            out=str(self._directory.path),
            do="Choose another --out.",
        )

    def _from_here(self, proposal: Proposal) -> Proposal:
        """Without the parent, where it was not trained here."""
        parent = proposal.parent and read_result(self._directory.trial(proposal.parent))
        is_here = parent and parent.score is not None and parent.values == proposal.values
        return proposal if is_here else dataclasses.replace(proposal, parent=None)

    def _tell_all(self) -> bool:
        """Tells the chief of all ends; returns whether it has heard them."""
        while self._untold:
            if self._called(self._chief.end, self._untold[0]) is None:
                return False
            self._untold.popleft()
        return True

    def _called(self, call: Callable[[Any], Any], argument: Any) -> Any:
        """What the chief answers; None where it can't be reached.

        Raises:
            InputError: It refuses.
        """
        try:
            answer = call(argument)
        except grpc.RpcError as error:
            if error.code() not in _LOST:
                refusal = f"Expected an answer of the chief at {self._chief.address}"
                raise input_error(refusal, error=error.code().name, details=str(error.details())[:1000]) from None
            if self._silent_since is None:
                self._silent_since = time.monotonic()
                if not self._ended.is_set():
                    self._say(f"the chief at {self._chief.address} does not answer: asking on")
            return None
        if self._silent_since is not None:
            self._silent_since = None
            self._say("the chief answers again")
        return answer

    def _require_patience(self) -> None:
        require(
            self._silent_since is None or time.monotonic() - self._silent_since < self._patience,
            f"Expected an answer of the chief at {self._chief.address} within {self._patience:g} s",
            do="What has ended here is kept: the same command goes on, and tells it.",
        )

    def _beat(self, seconds: float) -> None:
        """Says that the trials go on, in a thread of its own: the search's may wait for a process."""
        while not self._ended.wait(seconds):
            for trial_id, _ in tuple(self._ids.values()):
                if self._ended.is_set():
                    return
                try:
                    self._chief.is_held(trial_id)
                except (grpc.RpcError, ValueError):  # it does not answer, as the search's thread will notice
                    continue
