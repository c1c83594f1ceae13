"""Trains what a search has found, several at a time, in processes of their own."""

import collections
import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from base.recipes import read_yaml
from tuning.final.plan import SPLIT, FinalRun
from tuning.live import Follower, Overview, epochs_of, row, seconds_left
from tuning.objective import EVALUATION, Objective, objective_of
from tuning.objective import SPLIT as VALIDATION
from tuning.processes.slots import Slot
from tuning.processes.supervisor import Ended, Supervisor
from tuning.run_folder import is_finished
from tuning.trial import LOG, RECIPE, write_recipe
from tuning.tries import Tries

LOOK_SECONDS = 1.0
_JUDGED = f"evaluation-{VALIDATION}.json"  # of evaluate.py


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinalScore:
    """What a training came to.

    Attributes:
        seed: Of the run.
        epoch: Whose weights were kept, from 1; None: it failed.
        validation: Name -> value: of that epoch, and the objective, where that is evaluated.
        test: Name -> value, `loss` and `accuracy` among them; what has no meaning is left out.
        examples: Of the test split.
        threads: That an operation had.
        seconds: That all of its processes were there, since the search itself was last started; None where it was
            finished before.
        reason: Why it failed; "" where it did not.
    """

    seed: int
    epoch: int | None = None
    validation: dict[str, float] = dataclasses.field(default_factory=dict)
    test: dict[str, float] = dataclasses.field(default_factory=dict)
    examples: int | None = None
    threads: int | None = None
    seconds: float | None = None
    reason: str = ""


@dataclasses.dataclass(kw_only=True)
class _Active:
    run: FinalRun
    slot: Slot
    left: list[list[str]]  # commands, of which the first one runs
    follower: Follower
    began: float
    tries: Tries
    seconds: float = 0.0


class FinalTraining:
    """Runs final trainings in slots; what is finished already is read, and what was begun goes on.

    Args:
        runs: What to train.
        slots: Where.
        train_command: How the train command is called, without its options.
        evaluate_command: How evaluate.py is called, which judges a model on the validation split where the objective is
            no metric of epochs: the training itself is judged on the test split.
        lock: Of the search's folder; each process holds it, too.
        objective: Of the search.
        last: Whether a run's last epoch counts, and not its best.
        watch: Told about once a second how far it is.
    """

    def __init__(
        self,
        runs: Sequence[FinalRun],
        slots: Sequence[Slot],
        train_command: Sequence[str],
        evaluate_command: Sequence[str],
        lock: int,
        *,
        objective: Objective,
        last: bool = False,
        watch: Callable[[Overview], None] = lambda overview: None,
    ) -> None:
        self._runs, self._slots = tuple(runs), tuple(slots)
        self._train, self._evaluate = tuple(train_command), tuple(evaluate_command)
        self._lock, self._watch = lock, watch
        self._objective, self._last = objective, last
        self._active: dict[int, _Active] = {}
        self._done: list[FinalScore] = []

    def scores(self) -> Iterator[tuple[FinalRun, FinalScore]]:
        """Yields each training and what it came to, in the order of their ends."""
        waiting = collections.deque(enumerate(self._runs, start=1))
        with Supervisor(self._slots, keep_open=[self._lock]) as supervisor:
            while waiting or self._active:
                while waiting and supervisor.free:
                    number, run = waiting.popleft()
                    left = self._left(run)
                    if left:
                        write_recipe(run.folder / RECIPE, run.recipe, supervisor.free[0])
                        self._start(supervisor, number, run, left)
                    else:
                        yield self._end(run, None)
                if not self._active:
                    continue
                ended = supervisor.wait(LOOK_SECONDS)
                if ended is not None:
                    yield from self._collect(supervisor, ended)
                self._look(len(waiting))

    def _left(self, run: FinalRun) -> list[list[str]]:
        """The commands that are still to be run."""
        left = []
        if not is_finished(run.run):
            left.append([*self._train, "--config", str(run.folder / RECIPE), "--run", str(run.run)])
        if not self._objective.is_of_epochs and (left or not (run.run / _JUDGED).is_file()):
            left.append([*self._evaluate, str(run.run), "--split", VALIDATION, "--overwrite"])
        return left

    def _start(
        self,
        supervisor: Supervisor,
        number: int,
        run: FinalRun,
        left: list[list[str]],
        *,
        tries: Tries | None = None,
        seconds: float = 0.0,
    ) -> None:
        slot, follower, tries = supervisor.free[0], Follower(run.run, self._objective), tries or Tries()
        self._active[number] = _Active(
            run=run, slot=slot, left=left, follower=follower, began=time.monotonic(), tries=tries, seconds=seconds
        )
        tries.begin(run.run)
        supervisor.start(slot, number, left[0], run.folder / LOG)

    def _collect(self, supervisor: Supervisor, ended: Ended) -> Iterator[tuple[FinalRun, FinalScore]]:
        active = self._active.pop(ended.number)
        seconds = active.seconds + ended.seconds
        if ended.goes_on and active.tries.again(active.run.run):
            self._start(supervisor, ended.number, active.run, active.left, tries=active.tries, seconds=seconds)
        elif ended.exit_code == 0 and len(active.left) > 1:
            self._start(supervisor, ended.number, active.run, active.left[1:], seconds=seconds)
        else:
            yield self._end(active.run, ended, round(seconds, 3))

    def _end(self, run: FinalRun, ended: Ended | None, seconds: float | None = None) -> tuple[FinalRun, FinalScore]:
        score = read_score(run, self._objective, last=self._last, seconds=seconds)
        if ended is not None and ended.reason:
            score = FinalScore(seed=run.seed, seconds=seconds, reason=ended.reason)
        self._done.append(score)
        return run, score

    def _look(self, waiting: int) -> None:
        now = time.monotonic()
        rows = tuple(
            row(
                number,
                active.slot.number,
                active.follower.look(),
                epochs=epochs_of(active.run.recipe),
                seconds=now - active.began,
            )
            for number, active in self._active.items()
        )
        trained = [score.seconds for score in self._done if score.seconds is not None]
        mean = sum(trained) / len(trained) if trained else None
        failed = sum(bool(score.reason) for score in self._done)
        self._watch(
            Overview(
                rows=rows,
                done=len(self._done) - failed,
                failed=failed,
                trials=len(self._runs),
                best=None,
                seconds_left=seconds_left(rows, waiting=waiting, mean_seconds=mean, slots=len(self._slots)),
                objective=self._objective.name,
            )
        )


def read_score(run: FinalRun, objective: Objective, *, last: bool = False, seconds: float | None = None) -> FinalScore:
    """What a finished run's folder says.

    Args:
        run: Which one.
        objective: Of the search; the epoch is the one whose weights the run kept.
        last: Whether that is the last one.
        seconds: Goes into the score.
    """
    kept = objective_of("val_loss").judge(run.run, last=last)
    evaluation = _evaluation(run.run / EVALUATION)
    if kept is None or evaluation.get("split") != SPLIT:
        return FinalScore(seed=run.seed, seconds=seconds, reason="no finite val_loss, or no evaluation")
    validation = {name: value for name, value in kept.metrics.items() if name.startswith("val_")}
    if not objective.is_of_epochs:
        value = _evaluation(run.run / _JUDGED).get("metrics", {}).get(objective.name)
        validation |= {} if value is None else {objective.name: value}
    said = {**evaluation["metrics"], **{name: evaluation[name] for name in ("loss", "accuracy")}}
    names = ("loss", "accuracy", *([] if objective.is_of_epochs else [objective.name]))
    return FinalScore(
        seed=run.seed,
        epoch=kept.epoch,
        validation=validation,
        test={name: said[name] for name in names if said.get(name) is not None},
        examples=evaluation["examples"],
        threads=read_yaml(run.folder / RECIPE).get("intra_op_threads"),
        seconds=seconds,
    )


def _evaluation(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
