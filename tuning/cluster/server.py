"""The chief as a server: KerasTuner's own service, which its workers speak, and ours.

Every call is answered by the thread that serves, one after the other: KerasTuner's oracles are for one thread, and what
goes wrong in one ends the command instead of holding all that follow up. The protocol has no authentication.

How calls are understood, beyond KerasTuner's chief:

GetTrial, UpdateTrial  of a trial that is held: a sign of life. The answer's status is STOPPED where the trial has gone
                       to another worker meanwhile; KerasTuner's tuners end it then
EndTrial               with status IDLE: the trial is given back, and is queued again. INVALID is FAILED
UpdateSpace            takes no hyperparameters that are not in the space
"""

import concurrent.futures
import contextlib
import json
import math
import queue
import time
from collections.abc import Callable
from typing import Any

import grpc

from base.errors import InputError, input_error, require
from tuning.cluster.chief import Chief, Held
from tuning.cluster.options import Address
from tuning.cluster.reports import Reports
from tuning.cluster.results import LONGEST_NAME, Told, result_from
from tuning.cluster.wire import LARGEST, MESSAGES, RESULT, SERVICE, STUBS, Status, WireSpace, number_of
from tuning.oracles.proposal import Proposal, Wait
from tuning.plan import SearchPlan
from tuning.trial import TrialResult

_BETWEEN_LOOKS = 1.0  # seconds, or a tenth of those after which a worker is taken for lost
_IDLE_SECONDS = 0.2  # until a worker is told to wait: KerasTuner's asks again at once
_THREADS = 32


class ChiefServer:
    """Serves a chief from `serve` on; as a context manager, it listens until the block ends.

    Args:
        chief: What decides.
        plan: Of the search.
        about: What a worker is to know of the search before it begins; JSON can hold it.
        address: Where to listen; port 0: any.

    Raises:
        InputError: Nothing can listen there.
    """

    def __init__(self, chief: Chief, plan: SearchPlan, about: dict[str, Any], address: Address) -> None:
        self._chief, self._plan = chief, plan
        self._wire = WireSpace(plan.space, plan.oracle)
        self._about = json.dumps(about)
        self._is_closed = False
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], concurrent.futures.Future]] = queue.SimpleQueue()
        options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", LARGEST)]
        self._threads = concurrent.futures.ThreadPoolExecutor(_THREADS)
        self._server = grpc.server(self._threads, options=options)
        STUBS.add_OracleServicer_to_server(_Servicer(self), self._server)
        port = 0
        with contextlib.suppress(RuntimeError):
            port = self._server.add_insecure_port(str(address))
        require(port > 0, "Expected --chief to name a free port of this machine", address=str(address))
        self.address = Address(host=address.host, port=port)

    def __enter__(self) -> "ChiefServer":
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closed = True
        with contextlib.suppress(queue.Empty):
            while True:
                self._calls.get_nowait()[1].cancel()
        self._server.stop(grace=1.0).wait(2.0)  # the last answers are on their way
        self._threads.shutdown(wait=False)

    def serve(self, watch: Callable[[], None] = lambda: None) -> None:
        """Answers calls until the search is over and its workers know that, or are silent, or the block has ended.

        Args:
            watch: Called about once a second, or more often.
        """
        between, look = min(_BETWEEN_LOOKS, self._chief.silent_seconds / 10), time.monotonic()
        while not (self._is_closed or (self._chief.is_over and not self._chief.workers and not self._chief.running)):
            with contextlib.suppress(queue.Empty):
                self._answer(*self._calls.get(timeout=max(0.0, look - time.monotonic())))
            if time.monotonic() >= look:
                self._chief.look()
                watch()
                look = time.monotonic() + between

    def _answer(self, call: Callable[[], Any], answer: concurrent.futures.Future) -> None:
        if not answer.set_running_or_notify_cancel():
            return
        try:
            answer.set_result(call())
        except InputError as error:  # of who called
            answer.set_exception(error)
        except BaseException as error:
            answer.set_exception(error)
            raise

    # What follows is called by the server's own threads.

    def _in_turn(self, call: Callable[[], Any]) -> Any:
        """What a call returns in the thread that serves."""
        answer: concurrent.futures.Future = concurrent.futures.Future()
        self._calls.put((call, answer))
        if self._is_closed:
            answer.cancel()
        return answer.result()

    def space(self) -> Any:
        """The space, and what search it is."""
        return self._wire.message(self._about)

    def require_known(self, hyperparameters: Any) -> None:
        """Refuses a space that has more than ours."""
        space = hyperparameters.space
        kinds = (space.float_space, space.int_space, space.choice_space, space.boolean_space)
        others = {one.name for kind in kinds for one in kind} - self._wire.names
        require(not others, "Expected no hyperparameters beyond this search's", others=sorted(others)[:10])

    def create(self, worker: str) -> Any:
        """A trial for a worker, or that it is to wait, or to end."""
        is_name = 0 < len(worker) <= LONGEST_NAME and worker.isprintable()  # it is shown, and written down
        require(is_name, "Expected a tuner_id", tuner_id=worker[:100])
        answer = self._in_turn(lambda: self._handed_out(self._chief.ask(worker)))
        if answer.status == Status.IDLE:
            time.sleep(_IDLE_SECONDS)
        return answer

    def update(self, trial_id: str, metrics: dict[str, float], step: int) -> Any:
        """How far a trial is."""
        number_of(trial_id)
        require(all(len(name) <= 100 for name in metrics), "Expected names of metrics of at most 100 characters")
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        return self._in_turn(lambda: self._standing(trial_id, self._chief.report(trial_id, finite, step)))

    def get(self, trial_id: str) -> Any:
        """A trial."""
        number_of(trial_id)
        return self._in_turn(lambda: self._standing(trial_id, self._chief.hear(trial_id)))

    def end(self, trial: Any) -> None:
        """A trial's end, as our workers tell it with all that is known, or as KerasTuner's do."""
        number_of(trial.trial_id)
        text = trial.hyperparameters.values.values[RESULT].string_value  # "" where it is not there
        ends = (Status.COMPLETED, Status.FAILED, Status.INVALID, Status.IDLE)
        require(trial.status in ends, "Expected the status of a trial that has ended", status=trial.status)

        def told(proposal: Proposal, held: Held | None) -> Told:
            if text:
                return result_from(text, proposal, self._plan.space, Reports.of(trial).rows())
            reports = held.reports if held else Reports()  # of a tuner that was lost, none are left
            who = {"worker": held.worker, "seconds": self._chief.clock() - held.began} if held else {}
            result = reports.result(self._plan, proposal, failed=trial.status != Status.COMPLETED, **who)
            return Told(result=result, rows=reports.rows())

        if trial.status == Status.IDLE:
            self._in_turn(lambda: self._chief.give_back(trial.trial_id))
        else:
            self._in_turn(lambda: self._chief.end(trial.trial_id, told))

    def best(self, count: int) -> list[Any]:
        """The best trials so far."""
        sign = self._plan.objective.sign

        def trials() -> list[Any]:
            scored = [result for result in self._chief.results.values() if result.score is not None]
            order = sorted(scored, key=lambda result: sign * result.score)[: min(max(count, 0), 1000)]
            return [self._ended(str(result.number), result) for result in order]

        return self._in_turn(trials)

    def _handed_out(self, answer: Held | Wait | None) -> Any:
        if isinstance(answer, Held):
            return self._trial(answer.proposal, answer.trial_id, Status.RUNNING)
        return MESSAGES.Trial(status=Status.STOPPED if answer is None else Status.IDLE)

    def _standing(self, trial_id: str, held: Held | None) -> Any:
        if held is not None:
            trial = self._trial(held.proposal, trial_id, Status.RUNNING)
            maximize = self._plan.objective.better == "max"
            for name, steps in held.reports.metrics.items():
                history = trial.metrics.metrics[name]
                history.maximize = maximize and name == self._plan.objective.name
                for step, values in steps.items():
                    history.observations.add(value=values, step=step)
            return trial
        result = self._chief.results.get(number_of(trial_id))
        if result is not None:
            return self._ended(trial_id, result)
        return self._trial(self._chief.proposal(number_of(trial_id)), trial_id, Status.STOPPED)

    def _ended(self, trial_id: str, result: TrialResult) -> Any:
        status = Status.FAILED if result.score is None else Status.COMPLETED
        trial = self._trial(self._chief.proposal(result.number), trial_id, status)
        if result.score is not None:
            trial.score.value, trial.score.step = result.score, result.executions[-1].epoch or 0
        return trial

    def _trial(self, proposal: Proposal, trial_id: str, status: int) -> Any:
        parent = proposal.parent and self._chief.proposal(proposal.parent)
        return self._wire.trial(proposal, trial_id, status, parent.epochs if parent else 0)


class _Servicer(STUBS.OracleServicer):
    """The methods that gRPC calls, named as in KerasTuner's service."""

    def __init__(self, server: ChiefServer) -> None:
        self._server = server

    def GetSpace(self, request: Any, context: grpc.ServicerContext) -> Any:
        return SERVICE.GetSpaceResponse(hyperparameters=_answered(context, self._server.space))

    def UpdateSpace(self, request: Any, context: grpc.ServicerContext) -> Any:
        _answered(context, lambda: self._server.require_known(request.hyperparameters))
        return SERVICE.UpdateSpaceResponse()

    def CreateTrial(self, request: Any, context: grpc.ServicerContext) -> Any:
        return SERVICE.CreateTrialResponse(trial=_answered(context, lambda: self._server.create(request.tuner_id)))

    def UpdateTrial(self, request: Any, context: grpc.ServicerContext) -> Any:
        said = (request.trial_id, dict(request.metrics), request.step)
        return SERVICE.UpdateTrialResponse(trial=_answered(context, lambda: self._server.update(*said)))

    def EndTrial(self, request: Any, context: grpc.ServicerContext) -> Any:
        _answered(context, lambda: self._server.end(request.trial))
        return SERVICE.EndTrialResponse()

    def GetTrial(self, request: Any, context: grpc.ServicerContext) -> Any:
        return SERVICE.GetTrialResponse(trial=_answered(context, lambda: self._server.get(request.trial_id)))

    def GetBestTrials(self, request: Any, context: grpc.ServicerContext) -> Any:
        return SERVICE.GetBestTrialsResponse(trials=_answered(context, lambda: self._server.best(request.num_trials)))


def _answered(context: grpc.ServicerContext, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except InputError as error:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error)[:1000])
    except concurrent.futures.CancelledError:
        context.abort(grpc.StatusCode.UNAVAILABLE, str(input_error("Expected a chief that goes on")))
