"""The space of a search: parameters, parents before those that depend on them.

An option may be there several times, under conditions on one parent that exclude each other: the learning rate has
other bounds with another optimizer.
"""

import dataclasses
import itertools
import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from base.errors import input_error, nearest, require
from tuning.space.parameters import Parameter, Space


def space_of(parameters: Iterable[Parameter]) -> Space:
    """A space of parameters in any order.

    Raises:
        InputError: None is there; two set the same option at the same time; a condition is on what is not searched, on
            a value that it can't take, or in the end on the parameter itself.
    """
    rest = list(parameters)
    require(rest != [], "Expected something to search: an option with a choice or a range")
    _require_one_at_a_time(rest)
    for parameter in rest:
        _require_condition(parameter, rest)
    placed: list[Parameter] = []
    while rest:
        waiting = {parameter.name for parameter in rest}
        first = next((one for one in rest if one.when is None or one.when.name not in waiting), None)
        if first is None:
            raise input_error(
                "Expected conditions that don't run in a circle",
                **{one.name: {"when": {one.when.name: list(one.when.values)}} for one in rest},
            )
        placed.append(first)
        rest.remove(first)
    return tuple(placed)


def joined(ready: Space, own: Collection[Parameter]) -> Space:
    """A ready-made space in which some parameters are others.

    Args:
        ready: The ready-made space.
        own: In place of those that set the same options. What depends on an option's values goes with them.
    """
    taken = {name for parameter in own for name in parameter.options}
    kept: list[Parameter] = []
    for parameter in ready:
        kept += _under_possible_condition(_without(parameter, taken), [*kept, *own])
    return space_of([*kept, *own])


def narrowed(space: Space, fixed: Mapping[str, Any]) -> Space:
    """What is left of a space when some options are fixed, without the conditions that now always hold.

    Args:
        space: The whole.
        fixed: Options and their values; those outside the space change nothing.

    Raises:
        InputError: Nothing is left.

    Example:
        >>> from tuning.space.parameters import Boolean, Choice, Condition
        >>> units = Choice(name="dense_units", values=(64, 128), when=Condition(name="dense_layers", values=(1, 2)))
        >>> space = space_of([Choice(name="dense_layers", values=(0, 1, 2)), units, Boolean(name="batch_norm")])
        >>> [parameter.describe() for parameter in narrowed(space, {"dense_layers": 2, "batch_norm": True})]
        ['dense_units: 64, 128']
    """
    kept: list[Parameter] = []
    for parameter in space:
        when = parameter.when
        if when is not None and when.name in fixed:
            if fixed[when.name] not in when.values:
                continue
            parameter = dataclasses.replace(parameter, when=None)
        kept += _under_possible_condition(_without(parameter, fixed), kept)
    require(kept != [], "Expected a hyperparameter that is not fixed", do="Leave some options to the search.")
    return tuple(kept)


def settings(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a combination's values (name -> value) set: a parameter may set several."""
    there = [parameter for parameter in space if parameter.name in values and parameter.is_there(values)]
    return {option: values[parameter.name] for parameter in there for option in parameter.options}


def searched(space: Space) -> set[str]:
    """Names of all options that a space sets."""
    return {name for parameter in space for name in parameter.options}


def values_of(option: str, space: Space, options: Mapping[str, Any]) -> list[Any]:
    """What an option can be in a search: every choice and both bounds, and what it is where it is not searched.

    Args:
        option: Its name.
        space: What is searched.
        options: Option -> value of what is not; of options that are searched under conditions, elsewhere.
    """
    theirs = [parameter for parameter in space if option in parameter.options]
    always = any(parameter.when is None for parameter in theirs)
    found = [value for parameter in theirs for value in parameter.extremes()]
    return found if always else [*found, options[option]]


def describe(space: Space) -> list[str]:
    """A line a parameter."""
    return [parameter.describe() for parameter in space]


def combinations(space: Space) -> int | None:
    """How many combinations there are; None where a parameter is continuous."""
    if any(parameter.count is None for parameter in space):
        return None
    return math.prod(_combinations(space, parameter) for parameter in space if parameter.when is None)


def _combinations(space: Space, parent: Parameter) -> int:
    """Of a parameter and all that depends on it."""
    children = [child for child in space if child.when is not None and child.when.name == parent.name]
    counts = [(child.when.values, _combinations(space, child)) for child in children]
    asked: list[Any] = []
    for value in itertools.chain.from_iterable(values for values, _ in counts):
        asked += [value] if parent.takes(value) and value not in asked else []
    others = parent.count - len(asked)
    return others + sum(math.prod(count for values, count in counts if value in values) for value in asked)


def _without(parameter: Parameter, names: Collection[str]) -> list[Parameter]:
    """The same for the options that are left to it, if any."""
    left = [name for name in parameter.options if name not in names]
    return [dataclasses.replace(parameter, name=left[0], also=tuple(left[1:]))] if left else []


def _under_possible_condition(parameters: Iterable[Parameter], others: Collection[Parameter]) -> list[Parameter]:
    """The same under the part of their condition that can hold among others; without those that nothing is left of."""
    found: list[Parameter] = []
    for parameter in parameters:
        when = parameter.when
        if when is not None:
            possible = tuple(value for value in when.values if _takers(others, when.name, value))
            when = dataclasses.replace(when, values=possible)
        if when is None or when.values:
            found.append(dataclasses.replace(parameter, when=when))
    return found


def _takers(parameters: Iterable[Parameter], name: str, value: Any) -> list[Parameter]:
    """Those of a name that can take a value."""
    return [parameter for parameter in parameters if parameter.name == name and parameter.takes(value)]


def _require_one_at_a_time(parameters: Collection[Parameter]) -> None:
    for one, other in itertools.combinations(parameters, 2):
        shared = sorted(set(one.options) & set(other.options))
        exclusive = (
            one.when is not None
            and other.when is not None
            and one.when.name == other.when.name
            and not any(value in other.when.values for value in one.when.values)
        )
        require(
            not shared or exclusive,
            f"Expected one parameter for {', '.join(shared)}, or several under conditions on the same option that "
            "exclude each other",
            first=one.describe(),
            second=other.describe(),
        )


def _require_condition(parameter: Parameter, space: Collection[Parameter]) -> None:
    if parameter.when is None:
        return
    when = {"when": {parameter.when.name: list(parameter.when.values)}}
    parents = [other for other in space if other.name == parameter.when.name]
    if not parents:
        known = {other.name for other in space} - {parameter.name}
        raise input_error(
            f"Expected the condition of {parameter.name} on an option that is searched, too",
            **when,
            do=nearest(parameter.when.name, known) if known else "",
        )
    possible = "; ".join(parent.describe() for parent in parents)
    require(
        all(parent.count is not None for parent in parents),
        f"Expected the condition of {parameter.name} on an option with single values, not on {possible}",
        **when,
    )
    require(
        parameter.when.values != () and all(_takers(space, parameter.when.name, one) for one in parameter.when.values),
        f"Expected the condition of {parameter.name} on values of {possible}",
        **when,
    )
