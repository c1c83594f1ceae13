"""Whether training takes what a search would set: the options are built with it before a trial starts."""

from collections.abc import Mapping
from typing import Any

from base.errors import InputError
from base.options import build, owners_of, typed
from tuning.space.parameters import Parameter, Space


def require_buildable(space: Space, options: Mapping[str, Any], groups: Mapping[str, type]) -> None:
    """Builds the options of training with every choice and both bounds of every parameter.

    Args:
        space: What is searched.
        options: Every option of training: those that are not searched have these values.
        groups: Title -> options class.

    Raises:
        InputError: What the options say of such a value.
    """
    owners = owners_of(groups)
    known: dict[tuple[str, str], Any] = {}  # a type is asked for in milliseconds, and often for the same value

    def fitting(name: str, value: Any) -> Any:
        key = (name, repr(value))
        if key not in known:
            known[key] = typed(owners[name], name, value, _text(value))
        return known[key]

    for parameter in space:
        for value in parameter.extremes():
            combination = _combination(space, parameter, value)
            try:
                chosen = {**options, **{name: fitting(name, one) for name, one in combination.items()}}
                for cls in {owners[name] for name in parameter.options}:
                    build(cls, chosen)
            except InputError as error:
                raise InputError(f"Searched is {parameter.describe()}. {error}") from None


def _combination(space: Space, parameter: Parameter, value: Any) -> dict[str, Any]:
    """Options of a combination in which a parameter has a value; all others have their first one that allows it."""
    wanted = {parameter.name: value}
    child = parameter
    while child.when is not None:
        name, value = child.when.name, child.when.values[0]
        wanted[name] = value
        child = next(other for other in space if other.name == name and other.takes(value))
    values: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for other in space:
        if other.is_there(values):
            values[other.name] = wanted.get(other.name, other.extremes()[0])
            options |= dict.fromkeys(other.options, values[other.name])
    return options


def _text(value: Any) -> Any:
    """As it stands in a recipe."""
    return [_text(item) for item in value] if isinstance(value, list) else str(value)
