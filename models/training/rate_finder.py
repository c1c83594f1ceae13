"""The learning-rate range test: a short run whose rate rises from step to step shows which rates train at all.

Smith: Cyclical Learning Rates for Training Neural Networks (2015), https://arxiv.org/abs/1506.01186, section 3.3.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from base import files

if TYPE_CHECKING:
    from models.training.loop import Result

LOWEST, HIGHEST = 1e-7, 10.0
_MEMORY = 0.9  # of the moving average that smooths the curve
_DIVERGED = 4.0  # times the least loss: higher rates are not tried


@dataclasses.dataclass(frozen=True)
class RangeTest:
    """Its curve.

    Attributes:
        rates: Learning rates, rising, of each step made.
        losses: The step's loss, smoothed.
    """

    rates: Sequence[float]
    losses: Sequence[float]

    @property
    def suggestion(self) -> float | None:
        """The rate at which the loss falls steepest by the rate's logarithm, before its least; None: it never falls."""
        end = int(np.argmin(self.losses)) + 1
        if end < 3:
            return None
        slopes = np.gradient(np.asarray(self.losses[:end]), np.log(self.rates[:end]))
        steepest = int(np.argmin(slopes))
        return float(self.rates[steepest]) if slopes[steepest] < 0 else None


def range_test(make_steps: Callable[[int], "Result"], steps: int) -> RangeTest:
    """Makes a step at each of `rising_rates(steps)`, until the loss diverges; it spoils the weights.

    Args:
        make_steps: Makes so many steps, and returns their sums. They must have been built with the factors
            `rising_rates(steps) / HIGHEST`, and the optimizer with the learning rate `HIGHEST`.
        steps: At most.
    """
    smoother = Smoother()
    rates, losses = [], []
    for rate in rising_rates(steps):
        sums = make_steps(1).sums
        loss = smoother.add(float(sums.loss) / float(sums.count)) if sums.count else math.inf
        if smoother.is_beyond(loss):
            break
        rates.append(float(rate))
        losses.append(loss)
    return RangeTest(rates, losses)


def rising_rates(steps: int) -> np.ndarray:
    """float64 `[steps]`, from `LOWEST` to `HIGHEST`, each the same factor above the one before."""
    return np.geomspace(LOWEST, HIGHEST, steps)


class Smoother:
    """A moving average without the bias of its start, which says when a loss has gone too far."""

    def __init__(self) -> None:
        self._sum = self._weight = 0.0
        self._least = math.inf

    def add(self, loss: float) -> float:
        """The smoothed loss."""
        self._sum = _MEMORY * self._sum + (1 - _MEMORY) * loss
        self._weight = _MEMORY * self._weight + (1 - _MEMORY)
        smoothed = self._sum / self._weight
        self._least = min(self._least, smoothed)
        return smoothed

    def is_beyond(self, smoothed: float) -> bool:
        """Whether the loss has diverged."""
        return not math.isfinite(smoothed) or smoothed > _DIVERGED * self._least


def draw(test: RangeTest, path: Path) -> None:
    """Writes the curve as a PNG, whole or not at all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), dpi=110, layout="constrained")
    axes = figure.add_subplot(xscale="log", xlabel="learning rate", ylabel="loss, smoothed")
    axes.plot(test.rates, test.losses)
    if test.suggestion is not None:
        axes.axvline(test.suggestion, linestyle="--", color="grey")
        axes.annotate(f" {test.suggestion:.2g}", (test.suggestion, max(test.losses)), va="top")
    with files.whole_file(path, suffix=".png") as temporary:
        FigureCanvasAgg(figure).print_png(temporary)
