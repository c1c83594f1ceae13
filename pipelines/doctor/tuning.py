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


def candidates(cores: int) -> dict[str, tuple[int, ...]]:
    """Option -> values to try, the default first. What is to be tried is listed here, and nowhere else."""
    half = max(1, cores // 2)
    return {
        "intra_op_threads": (cores, half, 1),
        "inter_op_threads": (cores, 2 * cores, half),
        "decode_threads": (cores, 2 * cores, half),
        "interleave": (4, 1, 16),
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

    The values of an option take turns, so that a machine whose speed drifts is fair to all, and the best of each
    counts: what else the machine does only ever takes away.

    Args:
        values: Option -> candidates, the first one the default.
        measure: From option -> value to images/s.
        rounds: Measurements of each candidate.
    """
    chosen = {name: tried[0] for name, tried in values.items()}
    best: dict[str, dict[Any, float]] = {}
    for name, tried in values.items():
        seen = dict.fromkeys(tried, 0.0)
        for _ in range(rounds if len(tried) > 1 else 0):
            for value in tried:
                seen[value] = max(seen[value], measure({**chosen, name: value}))
        fastest = max(tried, key=seen.get)
        if seen[fastest] > _WORTH * seen[tried[0]]:
            chosen[name] = fastest
        best[name] = seen
    return Tuned(chosen=chosen, best=best)
