"""The numbers of a data set: classes, splits, sizes, shapes, channels, formats."""

import collections
import dataclasses
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.health.moments import channel_statistics
from pipelines.health.observation import Observation

_FIRST_SPLITS = ("train", "validation", "test")
_SHAPES = {"taller than 1:3": 0.0, "1:3 to 1:2": 1 / 3, "1:2 to 2:3": 1 / 2, "2:3 to 4:5": 2 / 3, "4:5 to 5:4": 0.8}
_SHAPES |= {"5:4 to 3:2": 1.25, "3:2 to 2:1": 1.5, "2:1 to 3:1": 2.0, "wider than 3:1": 3.0}
_EXTREMES = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """What is true of the images converted, whether it is a fault or not."""

    counts: dict[str, tuple[int, ...]]  # split -> images of each class
    weights: tuple[float | None, ...]  # of each class in training; None where it has no image
    bytes: int
    sides: dict[str, dict[str, float]]  # width, height, aspect (width / height) -> least, p5, median, p95, most
    short_sides: dict[str, int]  # range of the shorter side in pixels -> images
    shapes: dict[str, int]  # range of width / height -> images
    extremes: dict[str, tuple[int, ...]]  # smallest, largest, widest, tallest -> places in the observations
    channels: dict[str, int]
    formats: dict[str, int]
    orientations: dict[str, int]
    moments: dict[str, Any] | None  # as `channel_statistics` gives it

    @property
    def trained_on(self) -> str:
        """The split that class weights are for: train, or the first one."""
        return next(iter(self.counts))


def gather_facts(observations: Sequence[Observation], classes: int) -> Facts:
    """Counts and measures.

    Args:
        observations: At least one.
        classes: How many there are.
    """
    splits = sorted({one.split for one in observations}, key=split_order)
    labels = {split: [one.label for one in observations if one.split == split] for split in splits}
    counts = {split: tuple(np.bincount(labels[split], minlength=classes).tolist()) for split in splits}
    width, height = np.array([one.upright for one in observations], np.int64).T
    aspect, short = width / height, np.minimum(width, height)
    return Facts(
        counts=counts,
        weights=class_weights(counts[splits[0]]),
        bytes=sum(one.bytes for one in observations),
        sides={"width": spread(width), "height": spread(height), "aspect": spread(aspect)},
        short_sides=_octaves(short),
        shapes=_tally_ranges(aspect, _SHAPES),
        extremes=_extremes(width * height, aspect),
        channels=_tally(one.channels for one in observations),
        formats=_tally(one.format for one in observations),
        orientations=_tally(one.orientation for one in observations),
        moments=channel_statistics([one for one in observations if one.moments]),
    )


def split_order(split: str) -> tuple[int, str]:
    """A key to sort splits by: train, validation, test, then the others by name."""
    return (_FIRST_SPLITS.index(split) if split in _FIRST_SPLITS else len(_FIRST_SPLITS), split)


def class_weights(counts: Sequence[int]) -> tuple[float | None, ...]:
    """Weights that give each class the same part in the loss, n / (K * n_k).

    With them the weights of all examples add up to n (King, Zeng: "Logistic Regression in Rare Events Data", 2001).

    Args:
        counts: Images of each class; K are those that have any.

    Returns:
        One a class; None for a class without images.

    Example:
        >>> class_weights([30, 10])
        (0.6666666666666666, 2.0)
    """
    present = sum(count > 0 for count in counts)
    return tuple(sum(counts) / (present * count) if count else None for count in counts)


def spread(values: np.ndarray) -> dict[str, float]:
    """Least, 5th percentile, median, 95th percentile and most, each a value that occurs."""
    ranks = np.percentile(values, [0, 5, 50, 95, 100], method="nearest").tolist()
    return dict(zip(("least", "p5", "median", "p95", "most"), ranks, strict=True))


def _tally(values: Iterable[Hashable]) -> dict[str, int]:
    """Value -> how often it occurs, the most frequent first."""
    counts = collections.Counter(map(str, values))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _octaves(short: np.ndarray) -> dict[str, int]:
    """Images by their shorter side, from one power of two to the next."""
    edges = {
        f"{2**power:,} - {2 ** (power + 1) - 1:,}": float(2**power) for power in range(int(short.max()).bit_length())
    }
    return _tally_ranges(short, edges)


def _tally_ranges(values: np.ndarray, starts: Mapping[str, float]) -> dict[str, int]:
    """Images in each range, which ends where the next one starts; empty ones at both ends are left out."""
    place = np.searchsorted(list(starts.values()), values, side="right") - 1
    counts = np.bincount(place, minlength=len(starts)).tolist()
    return {name: counts[i] for i, name in enumerate(starts) if place.min() <= i <= place.max()}


def _extremes(pixels: np.ndarray, aspect: np.ndarray) -> dict[str, tuple[int, ...]]:
    def first(keys: np.ndarray) -> tuple[int, ...]:
        return tuple(np.argsort(keys, kind="stable")[:_EXTREMES].tolist())

    if len(np.unique(pixels)) == 1 and len(np.unique(aspect)) == 1:
        return {}
    return {"smallest": first(pixels), "largest": first(-pixels), "widest": first(-aspect), "tallest": first(aspect)}
