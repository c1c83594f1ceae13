"""The pictures of a search: learning curves, parallel coordinates, slices, time. Each is a data URI."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from base import picture
from tuning.objective import Objective
from tuning.report.timeline import Stretch
from tuning.space.axes import Axis
from tuning.trial import TrialResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BEST, OTHERS = "#d62728", "#8fa3b0"
_NEXT = ("#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd")
HIGHLIGHTED = 1 + len(_NEXT)  # curves that can be told apart
ABSENT = -0.14  # where a trial's line goes on the axis of a hyperparameter that it does not have
STEEP = 30  # the worst score is so many times the best: logarithms show more
_BEFORE, _TRAINING, _AFTER = "#c99a3c", "#4c7fa3", "#b8bcc0"
_STATES = {"done": _TRAINING, "stopped": "#7d6a9a", "failed": "#b3261e"}

Curve = Sequence[tuple[int, float]]  # (epoch, objective)


def curves_picture(curves: Mapping[int, Curve], order: Sequence[int], objective: Objective) -> str | None:
    """The objective after each epoch; None where no trial has one.

    Args:
        curves: Trial number -> its curve.
        order: Trial numbers, the best first: the first few are coloured and named.
        objective: Of epochs.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.ticker import MaxNLocator

    drawn = {number: curve for number, curve in curves.items() if curve}
    if not drawn:
        return None
    axes = picture.axes(9, 3.6, xlabel="epoch", ylabel=objective.name)
    named = [number for number in order if number in drawn][:HIGHLIGHTED]
    others = [curve for number, curve in drawn.items() if number not in named]
    axes.add_collection(LineCollection([curve for curve in others if len(curve) > 1], colors=OTHERS, linewidths=0.7))
    points = [curve[0] for curve in others if len(curve) == 1]
    axes.plot(*zip(*points, strict=True), ".", color=OTHERS) if points else axes.autoscale()
    for number, color in zip(named, (BEST, *_NEXT), strict=False):
        axes.plot(
            *zip(*drawn[number], strict=True),
            label=f"trial {number}",
            marker="." if len(drawn[number]) < 30 else None,
            color=color,
            zorder=4 if color == BEST else 3,
        )
    _scale(axes, [value for curve in drawn.values() for _, value in curve])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if named:
        picture.legend(axes)
    return picture.svg_uri(axes.figure)


def parallel_picture(
    axes_of_space: Sequence[Axis], positions: np.ndarray, scores: Sequence[float], objective: Objective
) -> str | None:
    """Parallel coordinates: a line a trial through its hyperparameters to its score; None without trials.

    Args:
        axes_of_space: Of d hyperparameters.
        positions: float `[n, d]`, NaN where a trial does not have one: its line goes below.
        scores: n numbers, the best first.
        objective: The last axis, its better end on top.
    """
    from matplotlib import colormaps
    from matplotlib.collections import LineCollection

    if not len(scores):
        return None
    count = len(axes_of_space)
    span = scores[0] - scores[-1]
    last = (np.array(scores) - scores[-1]) / span if span else np.full(len(scores), 0.5)
    height = np.column_stack([np.where(np.isnan(positions), ABSENT, positions), last])
    axes = picture.axes(max(9.5, 0.95 * (count + 1)), 4, xlim=(-0.3, count + 0.5), ylim=(ABSENT - 0.08, 1.08))
    axes.grid(visible=False)
    lines = [list(enumerate(row)) for row in height]
    rank = np.linspace(1, 0.1, len(lines))
    colors = [BEST, *(colormaps["viridis"](rank)[1:] * (1, 1, 1, 0.6))]
    widths = [2.2] + [0.9] * (len(lines) - 1)
    axes.add_collection(LineCollection(lines[::-1], colors=colors[::-1], linewidths=widths[::-1]))  # the best on top
    best, worst = f"{scores[0]:.3g}", f"{scores[-1]:.3g}"
    ends = [(0.0, worst), (1.0, best)] if span else [(0.5, best)]
    for place, ticks in enumerate([*(axis.ticks() for axis in axes_of_space), ends]):
        axes.axvline(place, color=picture.GREY, linewidth=0.8, zorder=0)
        for at, text in ticks:
            _text(axes, place + 0.04, at, text)
        if place < count and np.isnan(positions[:, place]).any():
            _text(axes, place + 0.04, ABSENT, "absent")
    names = [*(axis.name for axis in axes_of_space), objective.name]
    labels = axes.set_xticks(range(count + 1), names, rotation=20, ha="right", fontsize=9)
    for label in labels:
        label.label1.set_parse_math(False)
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    return picture.svg_uri(axes.figure)


def slice_picture(axis: Axis, positions: np.ndarray, scores: Sequence[float], objective: Objective) -> str:
    """The score against one hyperparameter.

    Args:
        axis: Of the hyperparameter.
        positions: float `[n]`, NaN where a trial does not have it.
        scores: n numbers, the best first.
        objective: Names the axis.
    """
    axes = picture.axes(4.2, 2.5, ylabel=objective.name, xlim=(-0.03, 1.03))
    axes.plot(positions, scores, "o", color=OTHERS, alpha=0.7, markersize=4)
    axes.plot(positions[:1], scores[:1], "o", color=BEST, markersize=6)
    half = 0.3 / max(1, len(axis.places))
    for place in np.unique(positions[~np.isnan(positions)]) if axis.places else ():
        middle = float(np.median(np.array(scores)[positions == place]))
        axes.plot([place - half, place + half], [middle, middle], color=picture.GREY)
    _scale(axes, scores)
    at, texts = zip(*axis.ticks(), strict=True)
    crowded = sum(map(len, texts)) > 40
    for tick in axes.set_xticks(
        at, texts, fontsize=8, rotation=20 if crowded else 0, ha="right" if crowded else "center"
    ):
        tick.label1.set_parse_math(False)
    return picture.svg_uri(axes.figure)


def timeline_picture(stretches: Sequence[Stretch], results: Mapping[int, TrialResult]) -> str | None:
    """Which trial was in which slot when; None where none was trained."""
    from matplotlib.patches import Patch

    if not stretches:
        return None
    slots = sorted({stretch.slot for stretch in stretches})
    axes = picture.axes(9, 0.9 + 0.42 * len(slots), xlabel="minutes", ylabel="slot")
    states = [results[stretch.trial].state for stretch in stretches]
    minutes = [stretch.seconds / 60 for stretch in stretches]
    boxes = [
        (stretch.begin / 60, slots.index(stretch.slot) - 0.35, length, 0.7)
        for stretch, length in zip(stretches, minutes, strict=True)
    ]
    _boxes(axes, boxes, [_STATES[state] for state in states])
    whole = max(stretch.begin + stretch.seconds for stretch in stretches) / 60
    for stretch, length in zip(stretches, minutes, strict=True):
        if length > 0.02 * whole:
            at = stretch.begin / 60 + length / 2
            axes.text(at, slots.index(stretch.slot), stretch.trial, ha="center", va="center", color="white", fontsize=7)
    axes.set_yticks(range(len(slots)), slots)
    axes.invert_yaxis()
    seen = [Patch(color=color, label=state) for state, color in _STATES.items() if state in states]
    if len(seen) > 1:
        picture.legend(axes, handles=seen)
    return picture.svg_uri(axes.figure)


def seconds_picture(results: Sequence[TrialResult]) -> str | None:
    """Seconds of each trial: to its first step, training, after its last one; None where none was trained."""
    trained = [result for result in results if result.executions]
    if not trained:
        return None
    axes = picture.axes(5.2, 2.9, xlabel="trial", ylabel="seconds")
    numbers = [result.number for result in trained]
    before = np.array([sum(one.to_first_step or 0 for one in result.executions) for result in trained])
    after = np.array([sum(one.after_last_step or 0 for one in result.executions) for result in trained])
    between = np.maximum(0, np.array([result.seconds for result in trained]) - before - after)
    left = np.array(numbers) - 0.4
    parts = {
        "to the first step": (before, _BEFORE),
        "training": (between, _TRAINING),
        "after the last": (after, _AFTER),
    }
    bottom = np.zeros(len(trained))
    for name, (height, color) in parts.items():
        _boxes(axes, zip(left, bottom, [0.8] * len(left), height, strict=True), color, label=name)
        bottom = bottom + height
    if before.any() or after.any():
        picture.legend(axes, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    return picture.svg_uri(axes.figure)


def memory_picture(results: Sequence[TrialResult]) -> str | None:
    """The most that each trial held, in GiB; None where that is not known."""
    held = [
        (result.number, max(one.memory or 0 for one in result.executions)) for result in results if result.executions
    ]
    if not any(most for _, most in held):
        return None
    axes = picture.axes(
        5.2,
        2.9,
        xlabel="trial",
        ylabel="GiB, the most at a time",
        ylim=(0, max(most for _, most in held) / 2**30 * 1.1),
    )
    axes.plot(
        [number for number, most in held if most], [most / 2**30 for _, most in held if most], ".", color=_TRAINING
    )
    return picture.svg_uri(axes.figure)


def _boxes(
    axes: "Axes", boxes: Iterable[tuple[float, float, float, float]], color: str | Sequence[str], label: str = ""
) -> None:
    """Rectangles (left, bottom, width, height) as one artist: matplotlib's bars are one each, which takes seconds."""
    from matplotlib.collections import PolyCollection

    corners = [
        [(left, low), (left, low + height), (left + width, low + height), (left + width, low)]
        for left, low, width, height in boxes
    ]
    axes.set_axisbelow(True)
    axes.add_collection(PolyCollection(corners, facecolors=color, edgecolors="none", label=label))
    axes.autoscale_view()


def _scale(axes: "Axes", values: Sequence[float]) -> None:
    finite = [value for value in values if math.isfinite(value)]
    if finite and min(finite) > 0 and max(finite) > STEEP * min(finite):
        axes.set_yscale("log")


def _text(axes: "Axes", x: float, y: float, text: str) -> None:
    shown = text if len(text) <= 16 else f"{text[:15]}…"
    axes.text(x, y, shown, fontsize=8, color=picture.GREY, va="center", parse_math=False)
