"""Recipes: YAML files of options, read as the options mean them.

YAML takes `0.3`, `no` and `1:4` for numbers and for a truth value, where an option of text means what stands there; and
a single value may stand where a list is wanted.
"""

import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from base.errors import input_error, require


def to_yaml(values: dict[str, Any]) -> str:
    """`values` as a recipe, in the order given."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, keys with underscores.

    Raises:
        InputError: No such file, no YAML, or no mapping.
    """
    return _read(path, yaml.SafeLoader)


def _read(path: Path, loader: type) -> dict[str, Any]:
    try:
        values = yaml.load(Path(path).read_text(encoding="utf-8"), loader)
    except (OSError, UnicodeDecodeError) as error:
        raise input_error(f"Expected a readable recipe at {path}", error=str(error)) from None
    except yaml.YAMLError as error:
        raise input_error(f"Expected YAML in {path}", error=" ".join(str(error).split())) from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise input_error(f"Expected 'option: value' lines in {path}", content=type(values).__name__)
    return {str(key).replace("-", "_"): value for key, value in values.items()}


def read_recipes(argv: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the recipes on a command line say together, later ones winning: as YAML reads it, and with every scalar as
    it stands there, which is what options of text mean.

    Args:
        argv: Arguments that `base.options.parse` has accepted.
    """
    values: dict[str, Any] = {}
    texts: dict[str, Any] = {}
    for place, argument in enumerate(argv):
        flag, _, path = argument.partition("=")
        if flag == "--config":
            values |= read_yaml(Path(path or argv[place + 1]))
            texts |= _read(Path(path or argv[place + 1]), yaml.BaseLoader)
    return values, texts


def inlined(argv: Sequence[str], kinds: Mapping[str, Any], leave_out: Callable[[Any], bool]) -> list[str]:
    """A command line with recipes in place of their paths, whose values are what the options take.

    Args:
        argv: Arguments whose names are known.
        kinds: Option -> its type.
        leave_out: Whether a value says something else than what the option is.
    """
    replaced: list[str] = []
    rest = iter(argv)
    for argument in rest:
        flag, equals, path = argument.partition("=")
        if flag != "--config":
            replaced.append(argument)
            continue
        path = Path(path if equals else next(rest))
        texts = _read(path, yaml.BaseLoader)
        values = {
            name: as_wanted(name, value, texts.get(name, value), kinds[name])
            for name, value in read_yaml(path).items()
            if not leave_out(value)
        }
        replaced.append(f"--config={to_yaml(values)}")
    return replaced


def as_wanted(name: str, value: Any, text: Any, kind: Any) -> Any:
    """A recipe's value as an option of this type takes it; `text`: the same with every scalar as it stands there."""
    if value is None:
        shown = getattr(kind, "__name__", kind)
        optional = type(None) in typing.get_args(kind)
        require(optional, f"Expected --{name.replace('_', '-')} of type {shown}", **{name: None}, do="See --help.")
        return None
    if typing.get_origin(kind) is tuple:
        item = typing.get_args(kind)[0]
        pairs = zip(value, text, strict=True) if isinstance(value, list) else [(value, text)]
        return [as_wanted(name, one, its_text, item) for one, its_text in pairs]
    return _Quoted(text) if _is_text(kind) and isinstance(text, str) else value


def _is_text(kind: Any) -> bool:
    if typing.get_origin(kind) is typing.Literal:
        return all(isinstance(choice, str) for choice in typing.get_args(kind))
    return kind in (str, type(None)) or (bool(typing.get_args(kind)) and all(map(_is_text, typing.get_args(kind))))


class _Quoted(str):
    """Stands in quotes in YAML, so that whoever reads it takes it for text."""


class _Dumper(yaml.SafeDumper):
    """Knows `_Quoted`."""


_Dumper.add_representer(
    _Quoted, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style='"')
)
