"""Where a hyperparameter's values stand on an axis from 0 to 1: what pictures and the importance are made of."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tuning.space.parameters import Boolean, Choice, Int, Parameter, Space

MOST_PLACES = 12  # whole numbers up to so many stand a place each, as a choice's values do
BESIDE = 0.25


@dataclasses.dataclass(frozen=True, kw_only=True)
class Axis:
    """The axis of a hyperparameter: of single values, each as wide as the others, or of a range.

    Under one condition it may have a range, under another one values that are no numbers, as none: these then have
    places in the lowest part of the axis, `BESIDE` of it, below the range.

    Attributes:
        name: Of the hyperparameter.
        places: The single values, in their order; empty: it is a range.
        low: The range's lower bound.
        high: Its upper one.
        log: Whether the range is logarithmic.
        beside: Single values below the range.
    """

    name: str
    places: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    beside: tuple[Any, ...] = ()

    def position(self, value: Any) -> float:
        """Where a value stands, 0 to 1; a single value in the middle of its place.

        Example:
            >>> Axis(name="filters", places=(16, 32)).position(32)
            0.75
            >>> Axis(name="learning_rate", low=0.01, high=1.0, log=True).position(0.1)
            0.5
        """
        if self.places:
            return (self.places.index(value) + 0.5) / len(self.places)
        if not _is_number(value):
            return BESIDE * (self.beside.index(value) + 0.5) / len(self.beside)
        way = math.log if self.log else float
        part = (way(value) - way(self.low)) / (way(self.high) - way(self.low))
        return BESIDE + (1 - BESIDE) * part if self.beside else part

    def ticks(self) -> list[tuple[float, str]]:
        """(position, text) of the single values, or of both bounds and the middle."""
        if self.places:
            return [(self.position(value), value_text(value)) for value in self.places]
        middle = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        ends = [(self.position(value), value_text(float(value))) for value in (self.low, middle, self.high)]
        return [(self.position(value), value_text(value)) for value in self.beside] + ends


def axes_of(space: Space) -> list[Axis]:
    """An axis a name, in the order of the space; one that is there under several conditions has all their values."""
    named: dict[str, list[Parameter]] = {}
    for parameter in space:
        named.setdefault(parameter.name, []).append(parameter)
    return [_axis(name, parameters) for name, parameters in named.items()]


def positions(axes: Iterable[Axis], combinations: Iterable[Mapping[str, Any]]) -> np.ndarray:
    """Where combinations' values stand.

    Args:
        axes: Of d hyperparameters.
        combinations: Of n trials, name -> value.

    Returns:
        float64 `[n, d]`, 0 to 1; NaN where a trial does not have the hyperparameter.
    """
    axes = list(axes)
    rows = [[axis.position(row[axis.name]) if axis.name in row else np.nan for axis in axes] for row in combinations]
    return np.array(rows, np.float64).reshape(len(rows), len(axes))


def value_text(value: Any) -> str:
    """As people read it: floats with three digits, lists with commas, none for what is empty."""
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list):
        return ", ".join(map(value_text, value)) or "none"
    return "none" if value is None else str(value)


def _axis(name: str, parameters: list[Parameter]) -> Axis:
    listed = [_single_values(parameter) for parameter in parameters]
    if all(listed):
        places = _different(value for values in listed for value in values)
        numbers = all(map(_is_number, places))
        return Axis(name=name, places=tuple(sorted(places) if numbers else places))
    values = _different(value for parameter in parameters for value in parameter.extremes())
    bounds = [value for value in values if _is_number(value)]
    beside = tuple(value for value in values if not _is_number(value))
    log = all(getattr(parameter, "log", True) for parameter in parameters) and min(bounds) > 0
    return Axis(name=name, low=min(bounds), high=max(bounds), log=log, beside=beside)


def _single_values(parameter: Parameter) -> tuple[Any, ...]:
    if isinstance(parameter, Choice | Boolean):
        return parameter.extremes()
    if isinstance(parameter, Int) and parameter.count <= MOST_PLACES:
        return tuple(parameter.values)
    return ()


def _different(values: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        found += [] if value in found else [value]
    return found


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)
