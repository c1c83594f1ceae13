"""`report.html` of a search: one page that needs nothing else, at any time while the search goes on."""

import functools
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from base.files import write_text
from base.page import render
from tuning.curves import Rows, best_values, curves, rows_of
from tuning.live import Overview
from tuning.objective import Objective, objective_of
from tuning.plan import SearchPlan
from tuning.ranking import ranked, values_text
from tuning.report import pictures
from tuning.report.importance import LEAST_TRIALS, Importance, importance
from tuning.report.timeline import overhead, timeline, worker_slots
from tuning.search_directory import SearchDirectory
from tuning.space.axes import Axis, axes_of, positions
from tuning.space.space import describe
from tuning.trial import LOG, TrialResult

_TEMPLATE = Path(__file__).parent / "report.html.jinja"
LEAST_SECONDS, PATIENCE = 10, 50
_LENGTH = "epochs"  # Hyperband trains some trials longer than others, which explains scores, too


def write_report(directory: SearchDirectory, plan: SearchPlan, places: Sequence[str]) -> None:
    """Writes the page from what stands in the search's folder: of the trials that have ended.

    Args:
        directory: The search's.
        plan: Of the search.
        places: Each slot in words; once workers have brought results, it is theirs that are shown.
    """
    results, objective = directory.results(), plan.objective
    places = [f"{worker or 'unknown worker'}, slot {slot}" for worker, slot in worker_slots(results)] or places
    order = ranked(results, objective)
    rows = {result.number: rows_of(directory, result) for result in results}
    followed = objective if objective.is_of_epochs else objective_of("val_loss")
    drawn = curves(rows, {result.number: result.parent for result in results}, followed.name)
    passed = {result.parent for result in results}  # whose curves are the beginnings of others
    axes, at = _varied(plan, order)
    scores = [result.score for result in order]
    stretches = timeline(results)
    page = render(
        _TEMPLATE,
        name=directory.path.resolve().name,
        objective=objective,
        how=_how(plan, places),
        space=describe(plan.space),
        asked=plan.trials,
        results=results,
        ranking=order,
        unranked=[result for result in results if result.score is None or result.state == "stopped"],
        tables=_by_each_metric(order, rows, objective) if plan.oracle.algorithm == "grid" else [],
        learning=pictures.curves_picture(drawn, [one.number for one in order if one.number not in passed], followed),
        highlighted=pictures.HIGHLIGHTED,
        parallel_width=72 * (len(axes) + 1),
        parallel=pictures.parallel_picture(axes, at, scores, objective) if axes else None,
        importance=_importance(axes, at, order),
        least_trials=LEAST_TRIALS,
        slices=_slices(axes, at, scores, objective),
        times={
            "Timeline": pictures.timeline_picture(stretches, {result.number: result for result in results}),
            "Seconds a trial": pictures.seconds_picture(results),
            "Memory a trial": pictures.memory_picture(results),
        },
        overhead=overhead(stretches),
        values_text=values_text,
        log=LOG,
        folder=lambda result: directory.trial(result.number).relative_to(directory.path),
    )
    write_text(directory.report, page)


class LiveReport:
    """The report of a search that goes on, written while all slots are busy, so that no slot waits for it.

    With 60 trials of 18 hyperparameters it takes 2 s of a core that trials need: it is not written again before
    `PATIENCE` times as long. At the search's end `write_report` is to be called anyway.

    Args:
        directory: As of `write_report`, and so the others.
        plan: See there.
        places: See there.
    """

    def __init__(self, directory: SearchDirectory, plan: SearchPlan, places: Sequence[str]) -> None:
        self._write = functools.partial(write_report, directory, plan, places)
        self._slots, self._shown, self._due = len(places), 0, -math.inf

    def look(self, overview: Overview) -> None:
        """To be called about once a second: writes the report if a trial has ended since, and it is time."""
        ended, began = overview.done + overview.failed, time.monotonic()
        if ended == self._shown or len(overview.rows) < self._slots or began < self._due:
            return
        self._write()
        self._shown, now = ended, time.monotonic()
        self._due = now + max(LEAST_SECONDS, PATIENCE * (now - began))


def _how(plan: SearchPlan, places: Sequence[str]) -> dict[str, str]:
    oracle = plan.oracle
    rungs = f", up to {oracle.max_epochs} epochs, one in {oracle.hyperband_factor} goes on"
    return {
        "algorithm": oracle.algorithm + (rungs if oracle.algorithm == "hyperband" else ""),
        "objective": f"{plan.objective.name}, {'less' if plan.objective.better == 'min' else 'more'} is better",
        "executions a trial": str(plan.executions),
        "seed": str(plan.seed),
        "data set": f"{plan.options['data']}, fingerprint {plan.data_fingerprint}",
        "slots": "; ".join(f"{number}: {place}" for number, place in enumerate(places, start=1)),
    }


def _varied(plan: SearchPlan, order: Sequence[TrialResult]) -> tuple[list[Axis], np.ndarray]:
    """The axes of what differs between trials with a score, d, and where these stand on them, `[n, d]`."""
    lengths = sorted({result.epochs for result in order if result.epochs is not None})
    axes = axes_of(plan.space) + ([Axis(name=_LENGTH, places=tuple(lengths))] if len(lengths) > 1 else [])
    values = [{**result.values, **({_LENGTH: result.epochs} if len(lengths) > 1 else {})} for result in order]
    at = positions(axes, values)
    differ = [place for place in range(len(axes)) if len({str(one) for one in at[:, place]}) > 1]
    return [axes[place] for place in differ], at[:, differ]


def _importance(axes: Sequence[Axis], at: np.ndarray, order: Sequence[TrialResult]) -> Importance | None:
    # In the order of their numbers: the forest's draws go by place.
    places = sorted(range(len(order)), key=lambda place: order[place].number)
    return importance([axis.name for axis in axes], at[places], [order[place].score for place in places])


def _slices(
    axes: Sequence[Axis], at: np.ndarray, scores: Sequence[float], objective: Objective
) -> dict[str, tuple[str, int]]:
    """Hyperparameter -> its picture, and how many trials don't have it."""
    found = {}
    for axis, column in zip(axes, at.T, strict=True):
        found[axis.name] = (pictures.slice_picture(axis, column, scores, objective), int(np.isnan(column).sum()))
    return found


def _by_each_metric(
    order: Sequence[TrialResult], rows: Mapping[int, Sequence[Rows]], objective: Objective
) -> list[tuple[str, list[tuple[TrialResult, float]]]]:
    """A grid as it is published: the names by the objective, and by the best of the other metric of epochs."""
    other = objective_of("val_loss" if objective.name == "val_accuracy" else "val_accuracy")
    best = {result.number: best_values(rows[result.number], other) for result in order}
    by_other = [(result, best[result.number]) for result in order if best[result.number] is not None]
    by_other.sort(key=lambda pair: other.sign * pair[1])
    return [(objective.name, [(result, result.score) for result in order]), (other.name, by_other)]
