"""Settings found by measuring: thread counts, prefetch, interleave. Pure: what is measured is handed in."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_WORTH = 1.03  # a change that gains less is noise, and what the recipe says stays


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tuned:
    """What was found.

    Attributes:
        chosen: Option -> value.
        best: Option -> value -> the best images/s seen with it, the options before it as chosen.
    """

    chosen: dict[str, Any]
    best: dict[str, dict[Any, float]]


def candidates(cores: int, shards: int) -> dict[str, tuple[int, ...]]:
    """Option -> values to try, the default first. What is to be tried is listed here, and nowhere else."""
    half = max(1, cores // 2)
    side_by_side = tuple(count for count in (16, 4, 1) if count <= shards)
    return {
        "intra_op_threads": (cores, half, 1),
        "inter_op_threads": (cores, 2 * cores, half),
        "decode_threads": (cores, 2 * cores, half),
        **({"interleave": side_by_side} if shards > 1 else {}),
        "prefetch": (2, 1, 8),
    }


def starting_at(values: Mapping[str, Sequence[int]], options: Mapping[str, Any]) -> dict[str, list[int]]:
    """The candidates of those options that there are, without repeats, first what a recipe says.

    Args:
        values: Of `candidates`.
        options: All options of the training, by name; None: nothing is said.
    """
    known = {name: values[name] for name in values if name in options}
    said = {name: [options[name]] if isinstance(options[name], int) else [] for name in known}
    return {name: list(dict.fromkeys([*said[name], *known[name]])) for name in known}


def tune(values: Mapping[str, Sequence[Any]], measure: Callable[[dict[str, Any]], float], rounds: int) -> Tuned:
    """Finds one option after the other, the others as they were found, or at their first value.

    The values of an option take turns, so that a machine whose speed drifts is fair to all. The best of each counts,
    since what else the machine does only ever takes away; but to replace the default a value must be faster in every
    round.

    Args:
        values: Option -> candidates, the first one the default.
        measure: From option -> value to images/s.
        rounds: Measurements of each candidate, at least 1.
    """
    chosen = {name: tried[0] for name, tried in values.items()}
    best: dict[str, dict[Any, float]] = {}
    for name, tried in values.items():
        if len(tried) == 1:
            continue
        seen: dict[Any, list[float]] = {value: [] for value in tried}
        for _ in range(rounds):
            for value in tried:
                seen[value].append(measure({**chosen, name: value}))
        chosen[name] = _fastest(tried[0], seen)
        best[name] = {value: max(rates) for value, rates in seen.items()}
    return Tuned(chosen=chosen, best=best)


def _fastest(default: Any, seen: Mapping[Any, Sequence[float]]) -> Any:
    usual = seen[default]
    faster = [value for value, rates in seen.items() if all(a > b for a, b in zip(rates, usual, strict=True))]
    fastest = max(faster, key=lambda value: max(seen[value]), default=default)
    return fastest if max(seen[fastest]) > _WORTH * max(usual) else default
