"""What a trial leaves: its folder, each execution's run, and how it ended."""

import dataclasses
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from base import files
from base.recipes import read_yaml, to_yaml
from tuning.processes.slots import Slot

RECIPE, RUN, LOG, RESULT = "recipe.yaml", "run", "log.txt", "result.json"
_RUN_LOCK = f".{RUN}.lock"  # of the train command; one that was killed leaves it
ENTRIES = frozenset({RECIPE, RUN, _RUN_LOCK, LOG, RESULT})  # and `execution-2`, ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Execution:
    """One training of a trial's hyperparameters.

    Attributes:
        seed: Of the run.
        score: The objective; None: it failed, for `reason`.
        epoch: Whose metrics these are, from 1.
        metrics: Name -> value, as `Judged` has them.
        slot: The number of the place it ran in.
        worker: Whose slot that was, in a chief's search; "": the search's own.
        seconds: That its processes were there, since the search itself was last started.
        to_first_step: Seconds from that process' being asked for to its first step's end; None: it had none.
        after_last_step: Seconds from its last step to the process' end.
        idle_before: Seconds that the slot had been empty.
        memory: Bytes, the most that the process held resident.
        reason: Why it failed or was stopped; "" where it ended as it should.
    """

    seed: int
    score: float | None = None
    epoch: int | None = None
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    slot: int = 1
    worker: str = ""
    seconds: float = 0.0
    to_first_step: float | None = None
    after_last_step: float | None = None
    idle_before: float | None = None
    memory: int | None = None
    reason: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialResult:
    """How a trial ended.

    Attributes:
        number: From 1.
        values: The hyperparameters, name -> value.
        label: A name for them, as '3-conv-64-filters-0-dense'.
        state: done; stopped: not worth going on, judged by what it had; failed, for `reason`; impossible: its size or
            its options would not do, and nothing was trained.
        score: The objective, of several executions the mean; None where it failed or was impossible.
        deviation: Of several executions' scores (of a sample, n - 1).
        reason: Why it failed or was stopped.
        epochs: How long it was trained, where the search said so (Hyperband's rung).
        parent: The trial that it went on from.
        executions: In their order; none where it was impossible.
    """

    number: int
    values: dict[str, Any]
    label: str
    state: Literal["done", "stopped", "failed", "impossible"]
    score: float | None = None
    deviation: float | None = None
    reason: str = ""
    epochs: int | None = None
    parent: int | None = None
    executions: tuple[Execution, ...] = ()

    @property
    def seconds(self) -> float:
        """Of all its executions."""
        return sum(execution.seconds for execution in self.executions)

    @property
    def metrics(self) -> dict[str, float]:
        """The executions' means."""
        each = [execution.metrics for execution in self.executions if execution.score is not None]
        names = [name for name in (each[0] if each else ()) if all(name in one for one in each)]
        return {name: statistics.fmean(one[name] for one in each) for name in names}


def result_of(
    number: int,
    values: Mapping[str, Any],
    label: str,
    executions: Sequence[Execution],
    *,
    stopped: bool = False,
    epochs: int | None = None,
    parent: int | None = None,
) -> TrialResult:
    """A trial's result from its executions; it fails with any of them, and the last one says why.

    Args:
        number: Of the trial.
        values: The hyperparameters.
        label: A name for them.
        executions: At least one.
        stopped: Whether it was stopped because it was not worth going on.
        epochs: As `TrialResult` has it, and so `parent`.
        parent: See there.
    """
    scores = [execution.score for execution in executions]
    failed = None in scores
    return TrialResult(
        number=number,
        values=dict(values),
        label=label,
        state="failed" if failed else "stopped" if stopped else "done",
        score=None if failed else statistics.fmean(scores),
        deviation=statistics.stdev(scores) if len(scores) > 1 and not failed else None,
        reason=executions[-1].reason,
        epochs=epochs,
        parent=parent,
        executions=tuple(executions),
    )


def execution_folder(trial: Path, execution: int) -> Path:
    """Where an execution's recipe, run and log are; the first one's are the trial's own.

    Args:
        trial: The trial's folder.
        execution: From 1.
    """
    return trial if execution == 1 else trial / f"execution-{execution}"


def write_recipe(path: Path, recipe: Mapping[str, Any], slot: Slot) -> None:
    """Writes what a training is told.

    Where a process of it has been there before, it keeps that one's thread counts, whatever slot it has now: so it
    comes to the same bits.

    Args:
        path: Of the recipe.
        recipe: All options but the slot's.
        slot: Where it runs.
    """
    earlier = read_yaml(path) if path.is_file() else {}
    shares = {name: earlier.get(name, value) for name, value in slot.options.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, to_yaml({**recipe, **shares}))


def is_trials_own(name: str) -> bool:
    """Whether an entry of a trial's folder is one that a search makes."""
    return name in ENTRIES or name.startswith("execution-")


def read_result(folder: Path) -> TrialResult | None:
    """The result in a trial's folder; None when the trial has not ended."""
    try:
        fields = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return TrialResult(**{**fields, "executions": tuple(Execution(**one) for one in fields["executions"])})


def write_result(folder: Path, result: TrialResult) -> None:
    """Writes it into the trial's folder: the trial has ended."""
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(folder / RESULT, dataclasses.asdict(result))
