"""One trial: the train command in a process of its own, judged by the lowest validation loss of its epochs."""

import dataclasses
import json
import math
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from base import files
from base.options import to_yaml
from base.signals import held_back

RESULT = "result.json"
LOG = "log.txt"
ENTRIES = frozenset({"recipe.yaml", "run", LOG, RESULT})
SECONDS_TO_END = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialResult:
    """How a trial ended; `val_loss` is None where it failed, for `reason`."""

    number: int  # from 1
    values: dict[str, Any]  # the hyperparameters
    seconds: float
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


def run_trial(
    folder: Path,
    number: int,
    values: dict[str, Any],
    recipe: dict[str, Any],
    train_command: Sequence[str],
    keep_open: Sequence[int] = (),
) -> TrialResult:
    """Trains by `recipe`, and writes the result into `folder`.

    Args:
        folder: Of this trial; what is there already is used again by the train command.
        number: Of the trial.
        values: The hyperparameters, for the record.
        recipe: All options of training.
        train_command: How the train command is called, without its options.
        keep_open: File descriptors that the process holds on to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files.write_text(folder / "recipe.yaml", to_yaml(recipe))
    command = [*train_command, "--config", str(folder / "recipe.yaml"), "--run", str(folder / "run")]
    start = time.monotonic()
    status = _run(command, folder / LOG, keep_open)
    ended = {"number": number, "values": values, "seconds": round(time.monotonic() - start, 1)}
    best = best_epoch(_rows(folder / "run" / "metrics.jsonl")) if status == 0 else None
    if best is None:
        result = TrialResult(**ended, reason=_reason(status, folder / LOG))
    else:
        measured = {name: best.get(name) for name in ("val_loss", "val_accuracy", "epoch")}
        result = TrialResult(**ended, **measured)
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


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _reason(status: int, log: Path) -> str:
    if status == 0:
        return "no epoch has a finite val_loss"
    if status < 0:
        return f"ended by {signal.Signals(-status).name}"
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else f"exit code {status}"


def _run(command: Sequence[str], log: Path, keep_open: Sequence[int]) -> int:
    """Runs a process to its end; if this one is interrupted, that one is ended first."""
    process = None
    try:
        # It stays in our process group: a closing terminal, and Ctrl-C, then reach both.
        with log.open("wb") as output, held_back():  # between fork and assignment nobody would know the process
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, pass_fds=tuple(keep_open)
            )
        return process.wait()
    finally:
        if process is not None and process.poll() is None:
            _end(process)


def _end(process: subprocess.Popen) -> None:
    try:
        process.terminate()
        process.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        pass
    finally:  # also where a second Ctrl-C interrupts the waiting
        process.kill()
        process.wait()
