"""The space of a search: which options are searched, and between what. Free of TensorFlow and KerasTuner."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Condition:
    """Holds where the option `name` has one of `values`."""

    name: str
    values: tuple[Any, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """One of `values` for the option `name`, all equally likely."""

    name: str
    values: tuple[Any, ...]
    when: Condition | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Int:
    """An integer from `low` to `high`, both included, for the option `name`.

    Every `step`th of them, all equally likely; with `log`, its logarithm is equally likely everywhere, and a `step`
    above 1 is a factor.
    """

    name: str
    low: int
    high: int
    step: int = 1
    log: bool = False
    when: Condition | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Float:
    """A float from `low` to `high` for the option `name`, equally likely everywhere; with `log`, its logarithm is."""

    name: str
    low: float
    high: float
    log: bool = False
    when: Condition | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Boolean:
    """Off or on for the option `name`."""

    name: str
    when: Condition | None = None


# Parents stand before what depends on them. An option may stand there several times under conditions that exclude
# each other.
Parameter = Choice | Int | Float | Boolean
Space = tuple[Parameter, ...]
