"""How a trial ended: as a text that goes with KerasTuner's messages, and as the files that a chief makes of it.

KerasTuner sends scores as float32, no reasons, and nothing of where a trial ran. Nothing that comes in is believed:
what is no result, or beyond all measure, is an `InputError`.
"""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from base import files
from base.errors import input_error
from base.recipes import read_yaml, to_yaml
from tuning.curves import Rows, write_rows
from tuning.oracles.proposal import Proposal
from tuning.plan import SearchPlan
from tuning.search_directory import SearchDirectory
from tuning.space.label import label
from tuning.space.parameters import Space
from tuning.trial import LOG, RECIPE, RUN, Execution, TrialResult, execution_folder, write_result

LONGEST_NAME = 500  # characters of a worker's
_LONGEST_REASON = 2000  # characters
_MOST = 1000  # executions of a trial, metrics of an execution
_LARGEST_COUNT = 1 << 60  # of what is counted; KerasTuner's messages hold no more than 64 bits

# Options that a worker's slot sets in its trials' recipes, and how: what else stands there, the chief knows itself.
_COUNTS = ("intra_op_threads", "inter_op_threads", "decode_threads", "replicas", "memory_budget")
SLOT_OPTIONS = (*_COUNTS, "strategy")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Told:
    """What a chief knows of a trial that has ended.

    Attributes:
        result: Its result.
        rows: Of each execution's `metrics.jsonl`.
        slots: Of each execution, the options that its slot set.
        goes_on: Whether it went on from its parent's run: a worker that has not got that one begins anew.
    """

    result: TrialResult
    rows: Sequence[Rows] = ()
    slots: Sequence[Mapping[str, Any]] = ()
    goes_on: bool = False


def told_of(directory: SearchDirectory, result: TrialResult, worker: str) -> Told:
    """What a worker has to tell of a trial, without its rows.

    Args:
        directory: The worker's.
        result: Of the trial.
        worker: The worker's name.
    """
    executions = tuple(dataclasses.replace(one, worker=worker) for one in result.executions)
    folder = directory.trial(result.number)
    paths = [execution_folder(folder, number) / RECIPE for number in range(1, len(executions) + 1)]
    recipes = [read_yaml(path) if path.is_file() else {} for path in paths]
    return Told(
        result=dataclasses.replace(result, executions=executions),
        slots=[{name: recipe[name] for name in SLOT_OPTIONS if name in recipe} for recipe in recipes],
        goes_on=any(recipe.get("start_from") is not None for recipe in recipes),
    )


def write_end(directory: SearchDirectory, plan: SearchPlan, proposal: Proposal, told: Told, worker: str) -> None:
    """Writes a trial's end into its folder as `Search` leaves it, but for the runs' models and logs.

    Args:
        directory: The chief's.
        plan: Of the search. Its own data set's folder stands in the recipes, and its own folder of a parent's run.
        proposal: What was trained.
        told: What is known of it.
        worker: Who trained it; "": not known.
    """
    result, folder = told.result, directory.trial(proposal.number)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, len(result.executions) + 1):
        execution = execution_folder(folder, number)
        execution.mkdir(parents=True, exist_ok=True)
        slot = told.slots[number - 1] if number <= len(told.slots) else {}
        recipe = plan.recipe(proposal, number, _parent_run(directory, proposal, number) if told.goes_on else None)
        files.write_text(execution / RECIPE, to_yaml({**recipe, **slot}))
    files.write_text(folder / LOG, f"Trained by worker {worker or 'unknown'}, whose folder has its run and log.\n")
    write_rows(directory, result, told.rows)
    write_result(folder, result)


def result_text(told: Told) -> str:
    """What a worker tells, but for the rows, which KerasTuner's messages have a place for."""
    fields = dataclasses.asdict(told.result)
    said = {name: fields[name] for name in ("state", "score", "deviation", "reason", "executions")}
    return json.dumps({**said, "slots": list(told.slots), "goes_on": told.goes_on})


def result_from(text: str, proposal: Proposal, space: Space, rows: Sequence[Rows] = ()) -> Told:
    """What a worker tells, read; what was proposed is the chief's own.

    Raises:
        InputError: It is no result.
    """
    try:
        said = json.loads(text)
        executions = [_execution(one) for one in said["executions"]]
        state, score, deviation = said["state"], _finite(said["score"]), _finite(said["deviation"])
        holds = state in ("done", "stopped", "failed", "impossible") and len(executions) <= _MOST
        holds &= score is None if state in ("failed", "impossible") else score is not None and bool(executions)
        if not holds:
            raise ValueError("state, score and executions don't go together")
        reason = _line(said["reason"], _LONGEST_REASON)
        slots = [_slot_options(one) for one in said.get("slots", ())[: len(executions)]]
        goes_on = said.get("goes_on") is True and proposal.parent is not None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise input_error("Expected a trial's result", error=f"{type(error).__name__}: {error}"[:200]) from None
    result = TrialResult(
        number=proposal.number,
        values=proposal.values,
        label=label(space, proposal.values),
        state=state,
        score=score,
        deviation=deviation,
        reason=reason,
        epochs=proposal.epochs,
        parent=proposal.parent,
        executions=tuple(executions),
    )
    return Told(result=result, rows=rows, slots=slots, goes_on=goes_on)


def _execution(fields: Mapping[str, Any]) -> Execution:
    optional = ("to_first_step", "after_last_step", "idle_before")
    metrics = {str(name)[:100]: _finite(value) for name, value in list(fields["metrics"].items())[:_MOST]}
    return Execution(
        seed=_count(fields["seed"]),
        score=_finite(fields["score"]),
        epoch=None if fields["epoch"] is None else _count(fields["epoch"]),
        metrics={name: value for name, value in metrics.items() if value is not None},
        slot=_count(fields["slot"]),
        worker=_line(fields.get("worker", ""), LONGEST_NAME),
        seconds=_finite(fields["seconds"]) or 0.0,
        memory=None if fields["memory"] is None else _count(fields["memory"]),
        reason=_line(fields["reason"], _LONGEST_REASON),
        **{name: _finite(fields[name]) for name in optional},
    )


def _slot_options(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What a slot may set: numbers of threads, devices and bytes, and the name of a strategy."""
    found = {name: _count(fields[name]) for name in _COUNTS if name in fields}
    if "strategy" in fields:
        found["strategy"] = fields["strategy"]
        if not (isinstance(found["strategy"], str) and found["strategy"].isidentifier()):
            raise ValueError("a strategy has a name")
    return found


def _finite(value: Any) -> float | None:
    if value is not None and not (isinstance(value, int | float) and math.isfinite(value)):
        raise ValueError(f"{str(value)[:50]} is no finite number")
    return value


def _count(value: Any) -> int:
    if not (type(value) is int and 0 <= value <= _LARGEST_COUNT):
        raise ValueError(f"{str(value)[:50]} counts nothing")
    return value


def _line(text: Any, longest: int) -> str:
    """One line of printable characters, of bounded length."""
    printable = "".join(one if one.isprintable() else " " for one in str(text)[: 2 * longest])
    return " ".join(printable.split())[:longest]


def _parent_run(directory: SearchDirectory, proposal: Proposal, execution: int) -> str:
    folder: Path = execution_folder(directory.trial(proposal.parent), execution)
    return str((folder / RUN).resolve())
