"""What a grid tries of a space."""

from typing import Any

from tuning.space.parameters import Boolean, Choice, Float, Int, Parameter, Space

GRID_POINTS = 10  # of what has no steps; KerasTuner takes 10 and the lower end, unsorted


def on_grid(space: Space) -> Space:
    """A space of nothing but single values: ranges become choices among what a grid tries of them.

    Example:
        >>> [parameter.describe() for parameter in on_grid((Int(name="units", low=32, high=128, step=2, log=True),))]
        ['units: 32, 64, 128']
    """
    return tuple(_choice(parameter) if isinstance(parameter, Int | Float) else parameter for parameter in space)


def grid_values(parameter: Parameter) -> tuple[Any, ...]:
    """What a grid tries of a parameter, in order.

    Of floats, and of integers on a logarithmic scale without a factor, `GRID_POINTS` from `low` to `high`; else all.

    Example:
        >>> grid_values(Int(name="units", low=1, high=512, log=True))
        (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
    """
    if isinstance(parameter, Choice | Boolean):
        return parameter.extremes()
    if isinstance(parameter, Int) and (parameter.step > 1 or not parameter.log):
        return tuple(parameter.values)
    points = (_between(parameter, place / (GRID_POINTS - 1)) for place in range(GRID_POINTS))
    if isinstance(parameter, Int):
        points = (round(point) for point in points)
    return tuple(sorted({*points, parameter.low, parameter.high}))


def _choice(parameter: Int | Float) -> Choice:
    common = {name: getattr(parameter, name) for name in ("name", "when", "also", "label")}
    return Choice(values=grid_values(parameter), **common)


def _between(parameter: Int | Float, part: float) -> float:
    low, high = parameter.low, parameter.high
    return low * (high / low) ** part if parameter.log else low + (high - low) * part
