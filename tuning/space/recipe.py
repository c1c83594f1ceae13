"""What a recipe searches: in place of an option's value stands between what it is searched.

    pooling: {choice: [max, average]}
    blocks: {int: [1, 4]}                                   # 1, 2, 3, 4
    dense_units: {int: [64, 256, 64]}                       # in steps of 64
    filters: {int: [16, 128, 2], log: true}                 # by a factor: 16, 32, 64, 128
    dropout: {float: [0, 0.5], also: [dense_dropout]}       # one value for both options
    batch_norm: {boolean: true}
    optimizer: {choice: [adam, adamw, sgd]}
    weight_decay: {float: [1e-5, 1e-1], log: true, when: {optimizer: adamw}}
    learning_rate:                                          # a list where it depends on another option
      - {float: [1e-4, 1e-2], log: true, when: {optimizer: [adam, adamw]}}
      - {float: [3e-3, 3e-1], log: true, when: {optimizer: sgd}}

`label: conv` says what the names of trials call it. No option of training has a mapping for a value, so that every
mapping is meant as a parameter; a list is one where all its items are mappings with `choice`, `int`, `float` or
`boolean`, which are no steps of `augment`.
"""

from collections.abc import Mapping
from typing import Any

from base.errors import input_error, nearest, require
from base.options import owners_of, typed
from tuning.space.parameters import Boolean, Choice, Condition, Float, Int, Parameter

_KINDS = ("choice", "int", "float", "boolean")
_KEYS = {"choice": (), "boolean": (), "int": ("log",), "float": ("log",)}  # beside those that all of them have
_COMMON = ("when", "also", "label")


def is_searched(value: Any) -> bool:
    """Whether an option's value in a recipe says between what it is searched."""
    several = isinstance(value, list) and value != []
    return isinstance(value, Mapping) or (
        several and all(isinstance(item, Mapping) and not {*_KINDS}.isdisjoint(item) for item in value)
    )


def read_parameters(values: Mapping[str, Any], texts: Mapping[str, Any], groups: Mapping[str, type]) -> list[Parameter]:
    """The parameters in a recipe; its other lines are passed over.

    Args:
        values: The recipe as YAML reads it.
        texts: The same with every scalar as it stands there (`base.recipes.read_recipes` gives both).
        groups: Title -> options class: what can be searched.

    Raises:
        InputError: An option or a key that does not exist (with the nearest name), a value of another type than the
            option's, bounds the wrong way round, a choice with one value.
    """
    owners = owners_of(groups)
    found = []
    for name, value in values.items():
        if not is_searched(value):
            continue
        for option in (name, *_also(name, value)):
            if option not in owners:
                raise input_error("Expected an option that can be searched", option=option, do=nearest(option, owners))
        found += [_read(name, one, its_text, owners) for one, its_text in _pairs(value, texts[name])]
    return found


def _read(name: str, value: Mapping[str, Any], text: Mapping[str, Any], owners: Mapping[str, type]) -> Parameter:
    kinds = [key for key in value if key in _KINDS]
    if len(kinds) != 1:
        misspelled = [key for key in value if key not in _COMMON and key != "log"]
        do = nearest(str(misspelled[0]), _KINDS) if misspelled and not kinds else ""
        raise input_error(f"Expected one of {', '.join(_KINDS)} for {name}", **{name: dict(value)}, do=do)
    kind = kinds[0]
    known = (kind, *_KEYS[kind], *_COMMON)
    for key in value:
        if key not in known:
            raise input_error(f"Expected a key of {{{kind}: ...}} for {name}", key=key, do=nearest(str(key), known))
    require(isinstance(value.get("label", ""), str), f"Expected a word as label of {name}", label=value.get("label"))
    common = {
        "name": name,
        "when": _condition(name, value.get("when"), text.get("when"), owners),
        "also": _also(name, value),
        "label": value.get("label", ""),
    }
    if kind == "boolean":
        require(value[kind] is True, f"Expected {{boolean: true}} for {name}", boolean=value[kind])
        return Boolean(**common)
    if kind == "choice":
        require(isinstance(value[kind], list), f"Expected {{choice: [...]}} for {name}", choice=value[kind])
        pairs = _pairs(value[kind], text[kind])
        return Choice(values=tuple(typed(owners[name], name, one, its_text) for one, its_text in pairs), **common)
    log = value.get("log", False)
    require(isinstance(log, bool), f"Expected log: true or log: false for {name}", log=log)
    low, high, *step = _bounds(name, kind, value[kind])
    if kind == "float":
        return Float(low=low, high=high, log=log, **common)
    return Int(low=low, high=high, step=step[0] if step else 1, log=log, **common)


def _bounds(name: str, kind: str, value: Any) -> list[Any]:
    numbers = [_number(one, kind) for one in value] if isinstance(value, list) else []
    lengths = (2, 3) if kind == "int" else (2,)
    if len(numbers) not in lengths or None in numbers:
        form = "{int: [low, high, step]} of whole numbers" if kind == "int" else "{float: [low, high]}"
        raise input_error(f"Expected {form} for {name}", **{kind: value})
    return numbers


def _number(value: Any, kind: str) -> int | float | None:
    """None where it is none of this kind."""
    if kind == "int":
        return value if type(value) is int else None
    try:  # YAML takes 1e-4 for text: it wants 1.0e-4
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


def _also(name: str, value: Any) -> tuple[str, ...]:
    """The further options that a parameter sets, or all those of a list of parameters."""
    found: list[str] = []
    for item in value if isinstance(value, list) else [value]:
        also = item.get("also", [])
        also = [also] if isinstance(also, str) else also
        named = isinstance(also, list) and all(isinstance(option, str) for option in also)
        require(named, f"Expected also: [OPTION, ...] for {name}", also=also)
        found += [option.replace("-", "_") for option in also]
    return tuple(found)


def _condition(name: str, when: Any, text: Any, owners: Mapping[str, type]) -> Condition | None:
    if when is None:
        return None
    if not isinstance(when, Mapping) or len(when) != 1:
        raise input_error(f"Expected when: {{OPTION: [VALUE, ...]}} with one option for {name}", when=when)
    ((parent, values),), (texts,) = when.items(), text.values()
    parent = str(parent).replace("-", "_")
    if parent not in owners:  # nor is it searched, which the space will say with the nearest that is
        return Condition(name=parent, values=(values,))
    pairs = _pairs(values, texts)
    return Condition(name=parent, values=tuple(typed(owners[parent], parent, one, its_text) for one, its_text in pairs))


def _pairs(value: Any, text: Any) -> list[tuple[Any, Any]]:
    """(value, its text) of each item; what is no list counts as one of a single item."""
    return list(zip(value, text, strict=True)) if isinstance(value, list) else [(value, text)]
