"""The parameters of a search: each sets an option of training, or several, to one of its values.

Values are plain, as YAML and JSON hold them and as `base.options.to_dict` gives them: lists, no tuples.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from base.errors import require


@dataclasses.dataclass(frozen=True, kw_only=True)
class Condition:
    """Holds where the parameter `name` is there and has one of `values`."""

    name: str
    values: tuple[Any, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Parameter:
    """What all parameters have.

    Attributes:
        name: Of an option of training.
        when: Without it the parameter is always there.
        also: Further options, which get the same value.
        label: What trial names call it; by default its name.
    """

    name: str
    when: Condition | None = None
    also: tuple[str, ...] = ()
    label: str = ""

    @property
    def options(self) -> tuple[str, ...]:
        """Names of all options that it sets."""
        return (self.name, *self.also)

    def is_there(self, values: Mapping[str, Any]) -> bool:
        """Whether its condition holds among the values (name -> value) of the parameters before it."""
        return self.when is None or (self.when.name in values and values[self.when.name] in self.when.values)

    def describe(self) -> str:
        """In one line: 'dense_units: 64, 128, 256 where dense_layers is 1, 2'."""
        when = f" where {self.when.name} is {_listed(self.when.values)}" if self.when else ""
        return f"{_listed(self.options)}: {self._describe_values()}{when}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice(_Parameter):
    """One of `values`, at least two, all different."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        different = len({repr(value) for value in self.values})
        require(
            different == len(self.values) >= 2,
            f"Expected a choice for {self.name} among two or more different values",
            choice=list(self.values),
            do=f"Say {self.name}: {self.values[0]} to fix it." if different == 1 else "",
        )

    @property
    def count(self) -> int:
        """How many values it can take."""
        return len(self.values)

    def takes(self, value: Any) -> bool:
        """Whether it can take a value."""
        return value in self.values

    def extremes(self) -> tuple[Any, ...]:
        """Values that show whether the option takes what is between them: all of them."""
        return self.values

    def _describe_values(self) -> str:
        return _listed(self.values)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Boolean(_Parameter):
    """False or True."""

    @property
    def count(self) -> int:
        """How many values it can take."""
        return 2

    def takes(self, value: Any) -> bool:
        """Whether it can take a value."""
        return isinstance(value, bool)

    def extremes(self) -> tuple[bool, bool]:
        """Both."""
        return (False, True)

    def _describe_values(self) -> str:
        return _listed(self.extremes())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Int(_Parameter):
    """A whole number from `low` to `high`, both included, in steps.

    With `log` its logarithm is equally likely everywhere, and a step above 1 is a factor: 16 to 128 by 2 is 16, 32, 64
    and 128.
    """

    low: int
    high: int
    step: int = 1
    log: bool = False

    def __post_init__(self) -> None:
        _require_bounds(self)
        way = "factor" if self.log else "step"
        require(
            self.step >= 1 and self.takes(self.high),
            f"Expected a {way} for {self.name}, of at least 1, that leads from the low bound to the high one",
            int=[self.low, self.high, self.step],
        )

    @property
    def count(self) -> int:
        """How many values it can take."""
        return len(self.values)

    @property
    def values(self) -> Sequence[int]:
        """All that it can take, in order."""
        if not self.log or self.step == 1:
            return range(self.low, self.high + 1, self.step)
        values = [self.low]
        while values[-1] * self.step <= self.high:
            values.append(values[-1] * self.step)
        return values

    def takes(self, value: Any) -> bool:
        """Whether it can take a value."""
        return type(value) is int and value in self.values

    def extremes(self) -> tuple[int, int]:
        """Both bounds."""
        return (self.low, self.high)

    def _describe_values(self) -> str:
        way = "factor" if self.log else "step"
        return _range(self) + (f", {way} {self.step}" if self.step > 1 else "")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Float(_Parameter):
    """A number from `low` to `high`; `log`: its logarithm equally likely everywhere."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        _require_bounds(self)

    @property
    def count(self) -> None:
        """It is continuous."""
        return

    def takes(self, value: Any) -> bool:
        """Whether it can take a value."""
        return isinstance(value, float) and self.low <= value <= self.high

    def extremes(self) -> tuple[float, float]:
        """Both bounds."""
        return (self.low, self.high)

    def _describe_values(self) -> str:
        return _range(self)


Parameter = Choice | Boolean | Int | Float
Space = tuple[Parameter, ...]  # parents before those that depend on them; `space.space_of` makes one


def _require_bounds(parameter: Int | Float) -> None:
    kind = type(parameter).__name__.lower()
    bounds = {kind: [parameter.low, parameter.high]}
    finite = all(abs(bound) < float("inf") for bound in bounds[kind])  # NaN is not, either
    require(
        finite and parameter.low < parameter.high,
        f"Expected [low, high] for {parameter.name}, the low bound first",
        **bounds,
    )
    require(parameter.low > 0 or not parameter.log, f"Expected bounds above 0 for {parameter.name} with log", **bounds)


def _range(parameter: Int | Float) -> str:
    return f"{parameter.low} to {parameter.high}" + (", logarithmic" if parameter.log else "")


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(str(value) for value in values)
