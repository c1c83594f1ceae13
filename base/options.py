"""Options: frozen dataclasses become a command line with YAML recipes, and go back to YAML.

An options class is a frozen, keyword-only dataclass whose fields are made with `option`. A command joins several of
them into one flat space of names: field `batch_size` is `--batch-size` on the command line and `batch_size:` in a
recipe.
"""

import argparse
import dataclasses
import re
import sys
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ActionYesNo, ArgumentParser

from base.errors import InputError, input_error, nearest, require
from base.recipes import as_wanted, inlined, read_recipes, read_yaml, to_yaml


def option(default: Any = dataclasses.MISSING, help: str = "", *, neutral: bool = False) -> Any:
    """A dataclass field with a line for `--help`; one without a default must be given.

    `neutral` ones can't change what a run computes: it goes on under any value of theirs.
    """
    return dataclasses.field(default=default, metadata={"help": help, "neutral": neutral})


def parse(
    command: str,
    description: str,
    groups: dict[str, type],
    argv: Sequence[str] | None,
    positional: Sequence[str] = (),
    leave_out: Callable[[Any], bool] = lambda value: False,
) -> dict[str, Any]:
    """Parses a command line into one instance of each options class.

    Args:
        command: The script's name, as usage shows it.
        description: One sentence for `--help`.
        groups: Title in `--help` -> options class. Field names must differ across classes.
        argv: Arguments without the script's name; None: those of the process.
        positional: Names of fields that are positional arguments.
        leave_out: Whether a value in a recipe says something else than what the option is: it is passed over.

    Returns:
        Title -> instance.

    Raises:
        InputError: An unknown option or recipe key (with the nearest name), a value of the wrong type, a missing
            option, or whatever a class's own `__post_init__` refuses.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = _parser(command, description, groups, positional)
    known = _fields(groups)
    _check_names(argv, known, positional)
    kinds = {name: kind for cls in groups.values() for name, kind in typing.get_type_hints(cls).items()}
    try:
        values = parser.parse_args(argv if "config" in known else inlined(argv, kinds, leave_out)).as_dict()
    except argparse.ArgumentError as error:
        raise _one_line(error) from None
    for name, field in known.items():
        if field.default is dataclasses.MISSING and values.get(name) is None:
            shown = name.upper() if name in positional else f"--{_hyphens(name)}"
            raise input_error(f"Expected {shown} ({field.metadata['help']})", do=f"See {command} --help.")
    return {title: build(cls, values) for title, cls in groups.items()}


def given(
    argv: Sequence[str], groups: dict[str, type], leave_out: Callable[[Any], bool] = lambda value: False
) -> set[str]:
    """Names of the options that a command line gives itself or through a recipe, whatever their values.

    Args:
        argv: Arguments that `parse` has accepted.
        groups: As `parse` takes them.
        leave_out: As `parse` takes it.
    """
    values, _ = read_recipes(argv)
    names = {name for name, value in values.items() if not leave_out(value)}
    for argument in argv:
        flag, _, _ = argument.partition("=")
        if flag.startswith("--") and flag != "--config":
            name = flag[2:].replace("-", "_")
            names |= {name, name.removeprefix("no_")}
    return names & _fields(groups).keys()


def typed(cls: type, name: str, value: Any, text: Any) -> Any:
    """One value of a recipe as a field of an options class takes it, plain as `to_dict` gives it.

    Args:
        cls: The options class.
        name: Of the field.
        value: As YAML reads it.
        text: The same with every scalar as it stands in the recipe.

    Raises:
        InputError: It is of another type. What the class refuses for other reasons is left to `build`.
    """
    kind = typing.get_type_hints(cls)[name]
    if kind is bool:
        require(isinstance(value, bool), f"Expected --{_hyphens(name)} true or false", **{name: value})
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--config", action="config")
    _add(parser, _fields({"": cls})[name], kind, positional=False)
    try:
        wanted = as_wanted(name, value, text, kind)
        return parser.parse_args([f"--config={to_yaml({name: wanted})}"]).as_dict()[name]
    except argparse.ArgumentError as error:
        raise _one_line(error) from None


def owners_of(groups: Mapping[str, type]) -> dict[str, type]:
    """Field -> the options class that has it, of a command's groups."""
    return {field.name: cls for cls in groups.values() for field in dataclasses.fields(cls)}


def build(cls: type, values: Mapping[str, Any]) -> Any:
    """An instance of an options class from all its fields' values; it may refuse them.

    Args:
        cls: The options class.
        values: Of the right types, lists for tuples; those of other names go unused.
    """
    chosen = {}
    for field in dataclasses.fields(cls):
        value = values[field.name]
        chosen[field.name] = tuple(value) if isinstance(value, list) else value
    return cls(**chosen)


def to_dict(*instances: Any) -> dict[str, Any]:
    """Field -> value of all instances, in one flat dict that YAML and JSON can hold."""
    return {
        field.name: list(value) if isinstance(value, tuple) else value
        for instance in instances
        for field in dataclasses.fields(instance)
        for value in [getattr(instance, field.name)]
    }


def neutral_names(groups: Iterable[Any]) -> set[str]:
    """Names of the neutral fields of options classes, or of their instances."""
    return {field.name for group in groups for field in dataclasses.fields(group) if field.metadata["neutral"]}


def _fields(groups: dict[str, type]) -> dict[str, dataclasses.Field]:
    fields: dict[str, dataclasses.Field] = {}
    for cls in groups.values():
        for field in dataclasses.fields(cls):
            if field.name in fields:
                raise TypeError(f"Two options classes of one command share the field {field.name!r}.")
            fields[field.name] = field
    return fields


def _parser(command: str, description: str, groups: dict[str, type], positional: Sequence[str]) -> ArgumentParser:
    parser = ArgumentParser(prog=command, description=description, exit_on_error=False, allow_abbrev=False)
    if "config" not in _fields(groups):
        parser.add_argument("--config", action="config", help="a recipe: a YAML file of options; later options win")
    for title, cls in groups.items():
        group = parser.add_argument_group(title)
        types_of = typing.get_type_hints(cls)
        for field in dataclasses.fields(cls):
            _add(group, field, types_of[field.name], field.name in positional)
    return parser


def _add(group: Any, field: dataclasses.Field, kind: Any, positional: bool) -> None:
    default = None if field.default is dataclasses.MISSING else field.default
    text = field.metadata["help"]
    name = f"--{_hyphens(field.name)}"
    if positional and typing.get_origin(kind) is tuple:  # one at least
        group.add_argument(field.name, type=typing.get_args(kind)[0], nargs="+", help=text)
    elif positional:
        group.add_argument(field.name, type=kind, help=text)
    elif kind is bool:
        group.add_argument(name, action=ActionYesNo(no_prefix="no-"), default=default, help=text)
    elif typing.get_origin(kind) is tuple:
        group.add_argument(name, type=typing.get_args(kind)[0], nargs="*", default=list(default or ()), help=text)
    elif default is None:  # required ones too: their absence is reported by `parse`, in our own words
        optional = kind if type(None) in typing.get_args(kind) else kind | None
        group.add_argument(name, type=optional, default=None, help=text)
    else:
        group.add_argument(name, type=kind, default=default, help=text)


def _check_names(argv: Sequence[str], known: dict[str, Any], positional: Sequence[str]) -> None:
    """Refuses unknown options and recipe keys before the parser does: it does not name the nearest."""
    flags = {f"--{_hyphens(name)}" for name in known if name not in positional} | {"--config", "--help"}
    negated = {f"--no-{flag[2:]}" for flag in flags}
    for place, argument in enumerate(argv):
        flag, _, value = argument.partition("=")
        if re.match(r"--[A-Za-z]", flag) and flag not in flags | negated | {"--print_config"}:
            raise input_error("Expected an option of this command", option=flag, do=nearest(flag, flags))
        if flag == "--config" and "config" not in known:
            path = value or (argv[place + 1] if place + 1 < len(argv) else "")
            for key in read_yaml(Path(path)):
                if key not in known:
                    raise input_error(f"Expected an option's name in {path}", key=key, do=nearest(key, known))


def _one_line(error: argparse.ArgumentError) -> InputError:
    text = " ".join(str(error).split())
    match = re.match(r'Parser key "(?P<key>\w+)"[^:]*: (?P<rest>.*)', text)
    if match is None:
        return InputError(text[:1].upper() + text[1:])
    expected, _, value = match["rest"].partition(". Got value: ")
    union = re.search(r"Subtypes: \[(.*?)\] Errors: .* Given value: (.*)", match["rest"])
    if union is not None:
        expected, value = union.groups()
    expected = re.sub(r"<class '(\w+)'>", r"\1", expected).replace("typing.", "").replace("Expected a ", "")
    expected = expected.replace(", NoneType", "")  # what may be left out
    name = _hyphens(match["key"])
    choices = re.findall(r"'([^']*)'", expected) if expected.startswith("Literal[") else []
    if choices:
        received = {match["key"]: value}
        return input_error(f"Expected --{name} {', '.join(choices)}", **received, do=_likeliest(value, choices))
    return InputError(f"Expected --{name} of type {expected}. Received: {match['key']}={value!r}. See --help.")


def _likeliest(value: str, choices: Sequence[str]) -> str:
    sentence = nearest(value, choices)
    return sentence if sentence.startswith("Did") else ""  # all of them have been named


def _hyphens(name: str) -> str:
    return name.replace("_", "-")
