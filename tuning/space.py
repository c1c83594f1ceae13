"""The space of a search: plain values that say which options are searched, and between what.

KerasTuner sees it in `tuning/oracle.py` only.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

MOST_BLOCKS = 5
# Larger maps than this at the last block make the flattened vector, and with it the dense layers, needlessly large.
LARGEST_LAST_MAP = 16
KERNEL_SIZES = (3, 5)


@dataclasses.dataclass(frozen=True, kw_only=True)
class When:
    """Holds where the option `name` has one of `values`."""

    name: str
    values: tuple[Any, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """One of `values` for the option `name`, all equally likely."""

    name: str
    values: tuple[Any, ...]
    when: When | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogRange:
    """A float from `low` to `high` for the option `name`, its logarithm equally likely everywhere."""

    name: str
    low: float
    high: float
    when: When | None = None


# Parents stand before what depends on them. An option may stand there several times under conditions that exclude
# each other.
Parameter = Choice | LogRange
Space = tuple[Parameter, ...]


def cnn_space(image_size: int, options: Mapping[str, Any]) -> Space:
    """The space of the CNN, fitted to the images.

    Args:
        image_size: Height and width of what the model sees, in pixels.
        options: Every option of training: those that the space leaves alone bound those that it searches.
    """
    some_dense = When(name="dense_layers", values=(1, 2))
    adaptive = When(name="optimizer", values=("adam", "adamw"))
    return (
        Choice(name="blocks", values=_block_counts(image_size, options)),
        Choice(name="filters", values=(16, 32, 64)),
        Choice(name="kernel_size", values=KERNEL_SIZES),
        Choice(name="activation", values=("relu", "elu", "silu")),
        Choice(name="pooling", values=("max", "average")),
        Choice(name="batch_norm", values=(False, True)),
        Choice(name="dropout", values=(0.0, 0.1, 0.2, 0.3)),
        Choice(name="flatten", values=("flatten", "average")),
        Choice(name="dense_layers", values=(0, 1, 2)),
        Choice(name="dense_units", values=(64, 128, 256), when=some_dense),
        Choice(name="dense_dropout", values=(0.0, 0.25, 0.5)),
        Choice(name="optimizer", values=("adam", "adamw", "sgd")),
        LogRange(name="learning_rate", low=1e-4, high=1e-2, when=adaptive),
        LogRange(name="learning_rate", low=3e-3, high=3e-1, when=When(name="optimizer", values=("sgd",))),
        LogRange(name="weight_decay", low=1e-5, high=1e-1, when=When(name="optimizer", values=("adamw",))),
        Choice(name="batch_size", values=_batch_sizes(options["replicas"] or 1)),
    )


def narrowed(space: Space, fixed: Mapping[str, Any]) -> tuple[Space, dict[str, Any]]:
    """What is left of a space when some options are fixed.

    Args:
        space: The whole.
        fixed: Options and their values; those outside the space change nothing.

    Returns:
        The parameters that are still open, without the conditions that now always hold; `fixed`, and the options that
        had one value to choose from.

    Example:
        >>> narrowed((Choice(name="blocks", values=(1, 2)), Choice(name="filters", values=(32,))), {"blocks": 2})
        ((), {'blocks': 2, 'filters': 32})
    """
    fixed = dict(fixed)
    given = frozenset(fixed)
    open_parameters = []
    for parameter in space:
        if parameter.name in given:
            continue
        when = parameter.when
        if when is not None and when.name in fixed:
            if fixed[when.name] not in when.values:
                continue
            parameter = dataclasses.replace(parameter, when=None)
        if isinstance(parameter, Choice) and len(parameter.values) == 1 and parameter.when is None:
            fixed[parameter.name] = parameter.values[0]
        else:
            open_parameters.append(parameter)
    return tuple(open_parameters), fixed


def describe(space: Space) -> list[str]:
    """A line a parameter: 'dense_units: 64, 128, 256 where dense_layers is 1, 2'."""
    return [_describe(parameter) for parameter in space]


def _describe(parameter: Parameter) -> str:
    if isinstance(parameter, Choice):
        values = _listed(parameter.values)
    else:
        values = f"{parameter.low:g} to {parameter.high:g}, logarithmic"
    when = parameter.when
    return f"{parameter.name}: {values}" + (f" where {when.name} is {_listed(when.values)}" if when else "")


def _listed(values: tuple[Any, ...]) -> str:
    return ", ".join(str(value) for value in values)


def _batch_sizes(replicas: int) -> tuple[int, ...]:
    """32, 64 and 128, each rounded up to what the replicas can share."""
    return tuple(sorted({-(-size // replicas) * replicas for size in (32, 64, 128)}))


def _block_counts(image_size: int, options: Mapping[str, Any]) -> tuple[int, ...]:
    """How many blocks make sense: as deep as the feature maps last, not so shallow that the last ones are large."""
    maps = _map_sizes(image_size, options)
    deepest = len(maps)
    if not maps or maps[-1] == image_size:  # nothing makes the maps smaller
        shallowest = min(1, deepest)
    else:
        shallowest = min(1 + sum(size > LARGEST_LAST_MAP for size in maps), deepest)
    return tuple(range(shallowest, deepest + 1))


def _map_sizes(image_size: int, options: Mapping[str, Any]) -> list[int]:
    """Height and width after each block, until a map is too small or `MOST_BLOCKS` are there."""
    kernel = max(*KERNEL_SIZES, options["kernel_size"])
    sizes: list[int] = []
    size = image_size
    while len(sizes) < MOST_BLOCKS:
        for convolution in range(options["convolutions"]):
            stride = options["stride"] if convolution == 0 else 1
            size = -(-size // stride) if options["padding"] == "same" else (size - kernel) // stride + 1
        if options["pooling"] != "none":
            size //= options["pool_size"]
        if size < 1:
            break
        sizes.append(size)
    return sizes
