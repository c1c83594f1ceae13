"""What a search shows while it goes on: a row for each trial that runs, and how far the whole is."""

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from tuning.metrics import METRICS, new_rows
from tuning.objective import Objective, objective_of
from tuning.plan import SearchPlan
from tuning.trial import TrialResult

VAL_LOSS = objective_of("val_loss")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standing:
    """How far a running trial is."""

    epoch: int = 0  # that it has done
    began: int = 0  # the epochs that were done when it was first looked at: of an earlier process
    best: float | None = None  # the best finite objective so far
    images_per_second: float | None = None  # of the last epoch


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A running trial, as the table shows it."""

    trial: int
    slot: int
    epoch: int
    epochs: int
    best: float | None
    images_per_second: float | None
    seconds_left: float | None  # None: no epoch has ended yet


@dataclasses.dataclass(frozen=True, kw_only=True)
class Overview:
    """A search, as it is shown."""

    rows: tuple[Row, ...]
    done: int
    failed: int
    trials: int | None  # None: not known, as under a budget of hours
    best: tuple[int, float] | None  # trial and its score
    seconds_left: float | None
    objective: str = "val_loss"


def standing(rows: Iterable[Mapping[str, Any]], before: Standing, *, objective: Objective = VAL_LOSS) -> Standing:
    """How far a trial is after some more rows of its `metrics.jsonl`.

    Args:
        rows: Those that have come.
        before: How far it was.
        objective: Of epochs.

    Example:
        >>> standing([{"epoch": 1, "val_loss": 0.5, "images_per_second": 90.0}], Standing())
        Standing(epoch=1, began=0, best=0.5, images_per_second=90.0)
    """
    now = before
    for row in rows:
        value = row.get(objective.name)
        seen = [one for one in (now.best, value) if one is not None and math.isfinite(one)]
        now = dataclasses.replace(
            now,
            epoch=row.get("epoch", now.epoch),
            best=min(seen, key=lambda one: objective.sign * one, default=None),
            images_per_second=row.get("images_per_second") or None,
        )
    return now


def epochs_of(recipe: Mapping[str, Any]) -> int:
    """How many epochs a recipe trains: the sum of its stages, where it has some.

    Example:
        >>> epochs_of({"stages": "head:5,finetune:10"})
        15
    """
    stages = recipe.get("stages")
    return sum(map(int, re.findall(r":(\d+)", stages))) if stages else recipe["epochs"]


def row(trial: int, slot: int, now: Standing, *, epochs: int, seconds: float, more: int = 0) -> Row:
    """A running trial's row.

    Args:
        trial: Its number.
        slot: The number of its slot.
        now: How far it is.
        epochs: That it is to do.
        seconds: That its process has been there; its start and its compiling are spread over the epochs.
        more: Trainings of as many epochs that are still to come in its slot: the trial's other executions.
    """
    done = now.epoch - now.began
    left = seconds / done * (max(0, epochs - now.epoch) + more * epochs) if done > 0 else None
    return Row(
        trial=trial,
        slot=slot,
        epoch=now.epoch,
        epochs=epochs,
        best=now.best,
        images_per_second=now.images_per_second,
        seconds_left=left,
    )


def seconds_left(rows: Sequence[Row], *, waiting: int, mean_seconds: float | None, slots: int) -> float | None:
    """Seconds until the last of a search's trials has ended, as the trials so far let expect.

    Args:
        rows: Of the trials that run.
        waiting: Trials that have not started.
        mean_seconds: Of the trials that have ended; None: none has.
        slots: Trials at the same time.

    Returns:
        None where nothing is known yet.

    Example:
        >>> seconds_left([], waiting=4, mean_seconds=10.0, slots=2)
        20.0
    """
    known = [row.seconds_left for row in rows if row.seconds_left is not None]
    if mean_seconds is None and len(known) < len(rows) or (mean_seconds is None and waiting):
        return None
    places = [row.seconds_left if row.seconds_left is not None else mean_seconds for row in rows]
    places += [0.0] * (slots - len(places))
    for _ in range(waiting):  # each goes where there is room first
        place = min(range(len(places)), key=places.__getitem__)
        places[place] += mean_seconds
    return max(places, default=0.0)


def overview_of(rows: Sequence[Row], results: Sequence[TrialResult], plan: SearchPlan, *, slots: int) -> Overview:
    """A search that goes on, as it is shown.

    Args:
        rows: Of the trials that run.
        results: Of those that have ended.
        plan: Of the search.
        slots: Trials at the same time.
    """
    scored = [result for result in results if result.score is not None]
    best = min(scored, key=lambda result: plan.objective.sign * result.score, default=None)
    trained = [result.seconds for result in results if result.executions]
    left = None
    if plan.trials is not None and plan.oracle.max_epochs is None:  # rungs differ in length: no mean says it
        waiting = max(0, plan.trials - len(results) - len(rows))
        mean = sum(trained) / len(trained) if trained else None
        left = seconds_left(rows, waiting=waiting, mean_seconds=mean, slots=slots)
    return Overview(
        rows=tuple(rows),
        done=len(scored),
        failed=len(results) - len(scored),
        trials=plan.trials,
        best=None if best is None else (best.number, best.score),
        seconds_left=left,
        objective=plan.objective.name,
    )


def view(overview: Overview) -> Group:
    """A search that goes on, for a terminal."""
    table = Table("trial", "slot", "epoch", f"best {overview.objective}", "images/s", "ETA", box=None)
    for one in overview.rows:
        table.add_row(
            str(one.trial),
            str(one.slot),
            f"{one.epoch}/{one.epochs}",
            "-" if one.best is None else f"{one.best:.4f}",
            "-" if one.images_per_second is None else f"{one.images_per_second:,.0f}",
            _clock(one.seconds_left),
        )
    return Group(table, Text(summary(overview)))


def summary(overview: Overview) -> str:
    """How far the whole is, in a line."""
    total = f" of {overview.trials}" if overview.trials is not None else ""
    parts = [f"{len(overview.rows)} running", f"{overview.done} done{total}", f"{overview.failed} failed"]
    if overview.best is not None:
        parts.append(f"best so far {overview.best[1]:.4f} (trial {overview.best[0]})")
    return "  ".join([*parts, f"ETA {_clock(overview.seconds_left)}"])


class Follower:
    """Follows the `metrics.jsonl` of one running trial. To be made when its process starts.

    Args:
        run: The run's folder, which need not be there yet.
        objective: Of the search; where epochs don't have it, val_loss is followed.
        done: Epochs of the run that it goes on from, after which its own first one comes.
    """

    def __init__(self, run: Path, objective: Objective = VAL_LOSS, *, done: int = 0) -> None:
        self._path = run / METRICS
        self._objective = objective if objective.is_of_epochs else VAL_LOSS
        self._read = new_rows(self._path)
        self._values = self._values_of(self._read.rows)
        self._done = done
        found = standing(self._read.rows, Standing(epoch=done), objective=self._objective)
        self._standing = dataclasses.replace(found, began=found.epoch)

    @property
    def curve(self) -> tuple[float, ...]:
        """The objective after each epoch so far; NaN where there is none."""
        return tuple(self._values)

    def look(self) -> Standing:
        """How far it is now; only what has come since the last look is read."""
        self._read = new_rows(self._path, self._read)
        if self._read.anew:  # it goes on from a checkpoint, before which fewer epochs may have been done
            done = max((row.get("epoch", 0) for row in self._read.rows), default=self._done)
            self._standing = Standing(epoch=self._done, began=min(self._standing.began, done))
            self._values = []
        self._values += self._values_of(self._read.rows)
        self._standing = standing(self._read.rows, self._standing, objective=self._objective)
        return self._standing

    def _values_of(self, rows: Iterable[Mapping[str, Any]]) -> list[float]:
        values = (row.get(self._objective.name) for row in rows)
        return [math.nan if value is None else value for value in values]


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
