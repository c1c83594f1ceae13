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
from tuning.parameters import Parameter, Space


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
        names = {parameter.name for parameter in placed}
        first = next((one for one in rest if one.when is None or one.when.name in names), None)
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
    parents = {parameter.name: parameter for parameter in own}
    kept: list[Parameter] = []
    for parameter in ready:
        left = _without(parameter, taken)
        if left is not None and left.when is not None and left.when.name in parents:
            possible = tuple(value for value in left.when.values if parents[left.when.name].takes(value))
            left = dataclasses.replace(left, when=dataclasses.replace(left.when, values=possible)) if possible else None
        if left is not None and _has_parent(left, [*kept, *own]):
            kept.append(left)
    return space_of([*kept, *own])


def narrowed(space: Space, fixed: Mapping[str, Any]) -> Space:
    """What is left of a space when some options are fixed, without the conditions that now always hold.

    Args:
        space: The whole.
        fixed: Options and their values; those outside the space change nothing.

    Raises:
        InputError: Nothing is left.

    Example:
        >>> from tuning.parameters import Boolean, Choice, Condition
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
        left = _without(parameter, fixed)
        if left is not None and _has_parent(left, kept):
            kept.append(left)
    require(kept != [], "Expected a hyperparameter that is not fixed", do="Leave some options to the search.")
    return tuple(kept)


def settings(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a trial's values set: a parameter may set several."""
    names = {parameter.name: parameter.options for parameter in space}
    return {option: value for name, value in values.items() for option in names[name]}


def searched(space: Space) -> set[str]:
    """Names of all options that a space sets."""
    return {name for parameter in space for name in parameter.options}


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
        asked += [] if value in asked else [value]
    others = parent.count - len(asked)
    return others + sum(math.prod(count for values, count in counts if value in values) for value in asked)


def _without(parameter: Parameter, names: Collection[str]) -> Parameter | None:
    """The same for the options that are left to it."""
    left = [name for name in parameter.options if name not in names]
    return dataclasses.replace(parameter, name=left[0], also=tuple(left[1:])) if left else None


def _has_parent(parameter: Parameter, others: Iterable[Parameter]) -> bool:
    return parameter.when is None or any(other.name == parameter.when.name for other in others)


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
    require(
        len(parents) == 1 and parents[0].count is not None,
        f"Expected the condition of {parameter.name} on an option with single values and without several ranges",
        **when,
    )
    impossible = [value for value in parameter.when.values if not parents[0].takes(value)]
    require(
        parameter.when.values != () and not impossible,
        f"Expected the condition of {parameter.name} on values of {parents[0].describe()}",
        **when,
    )
