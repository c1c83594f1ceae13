"""One trial: the train command in a process of its own, judged by the lowest validation loss of its epochs."""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from base import files
from base.options import to_yaml
from tuning.metrics import METRICS, new_rows
from tuning.slots import Slot
from tuning.supervisor import Ended, Supervisor

RECIPE, RUN, LOG, RESULT = "recipe.yaml", "run", "log.txt", "result.json"
ENTRIES = frozenset({RECIPE, RUN, LOG, RESULT})


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialResult:
    """How a trial ended; `val_loss` is None where it failed, for `reason`."""

    number: int  # from 1
    values: dict[str, Any]  # the hyperparameters
    seconds: float  # of its last process
    start_seconds: float | None = None  # until that process was there
    memory: int | None = None  # bytes, the most that it held resident
    val_loss: float | None = None
    val_accuracy: float | None = None  # of the same epoch
    epoch: int | None = None
    reason: str = ""


def read_result(folder: Path) -> TrialResult | None:
    """The result in a trial's folder; None when the trial has not ended."""
    try:
        return TrialResult(**json.loads((folder / RESULT).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def start_trial(
    supervisor: Supervisor,
    slot: Slot,
    folder: Path,
    number: int,
    recipe: Mapping[str, Any],
    train_command: Sequence[str],
) -> None:
    """Starts training by `recipe`, with the slot's options, in a folder.

    Args:
        supervisor: Who watches it.
        slot: A free one.
        folder: Of this trial; what is there already is used again by the train command.
        number: Of the trial.
        recipe: All options of training.
        train_command: How the train command is called, without its options.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files.write_text(folder / RECIPE, to_yaml({**recipe, **slot.options}))
    command = [*train_command, "--config", str(folder / RECIPE), "--run", str(folder / RUN)]
    supervisor.start(slot, number, command, folder / LOG)


def end_trial(folder: Path, values: Mapping[str, Any], ended: Ended) -> TrialResult:
    """What a trial's process has left, written into its folder.

    A trial that was stopped before its time is judged by the epochs that it had.

    Args:
        folder: Of the trial.
        values: The hyperparameters, for the record.
        ended: How its process ended.
    """
    judged = ended.exit_code == 0 or ended.stopped
    best = best_epoch(new_rows(folder / RUN / METRICS).rows) if judged else None
    result = TrialResult(
        number=ended.number,
        values=dict(values),
        seconds=round(ended.seconds, 1),
        start_seconds=round(ended.start_seconds, 3),
        memory=ended.memory,
        reason=ended.reason or ("" if best else "no epoch has a finite val_loss"),
        **{name: best.get(name) for name in ("val_loss", "val_accuracy", "epoch") if best},
    )
    files.write_json(folder / RESULT, dataclasses.asdict(result))
    return result


def best_epoch(rows: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The row of the lowest finite `val_loss`, the first of equals; None where no row has one.

    Example:
        >>> best_epoch([{"epoch": 1, "val_loss": 0.5}, {"epoch": 2, "val_loss": 0.4}, {"val_loss": float("nan")}])
        {'epoch': 2, 'val_loss': 0.4}
    """
    finite = [row for row in rows if row.get("val_loss") is not None and math.isfinite(row["val_loss"])]
    return min(finite, key=lambda row: row["val_loss"], default=None)
