"""Which images are the same, by bytes, by pixels or nearly: three partitions, each coarser than the one before."""

import dataclasses
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

import numpy as np

from pipelines.health.near import join, near_components
from pipelines.health.observation import Observation
from pipelines.health.perceptual import FLAT

LEVELS = ("bytes", "pixels", "near")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Twins:
    """For each image the first one of those that are the same; all int64 `[N]`."""

    bytes: np.ndarray
    pixels: np.ndarray
    near: np.ndarray


@dataclasses.dataclass(frozen=True, slots=True)
class Cluster:
    """Images that belong together."""

    how: str  # one of LEVELS, which holds for all members; or what else they have in common
    members: tuple[int, ...]  # places in the observations


def find_twins(
    observations: Sequence[Observation], pixel_digests: Callable[[Sequence[int]], Mapping[int, str]]
) -> Twins:
    """Finds the same images.

    Only where hash and tiny picture already say that two are nearly the same, and both have the same size upright, are
    they decoded to compare their pixels; images without contrast, which have no near duplicates, are compared too.

    Args:
        observations: `[N]`; what has no hash of its kind is not compared by it.
        pixel_digests: Places in the source -> digests of those that can be decoded.
    """
    same_bytes = first_alike(one.sha256 or place for place, one in enumerate(observations))
    first = np.unique(same_bytes)  # one image for each content
    hashed = np.array([i for i in first.tolist() if observations[i].phash is not None and observations[i].tiny], int)
    near = np.arange(len(observations))
    if len(hashed):
        hashes = np.array([observations[i].phash for i in hashed], np.uint64)
        tinies = np.frombuffer(b"".join(observations[i].tiny for i in hashed), np.uint8).reshape(len(hashed), -1)
        near[hashed] = hashed[near_components(hashes, tinies)]
    pixels = _same_pixels(observations, hashed, near, pixel_digests)
    near = join(near, np.stack([np.arange(len(near)), pixels], axis=1)) if len(near) else near
    return Twins(bytes=same_bytes, pixels=pixels[same_bytes], near=near[same_bytes])


def first_alike(keys: Iterable[Hashable]) -> np.ndarray:
    """For each key the place of the first one equal to it, int64 `[N]`."""
    first: dict[Hashable, int] = {}
    return np.array([first.setdefault(key, place) for place, key in enumerate(keys)], np.int64)


def spanning(groups: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Whether the group of each image has more than one value.

    Args:
        groups: int64 `[N]`, places of the groups' first members.
        values: int64 `[N]`: splits, classes, or the images' own places to ask whether a group has two members.
    """
    low, high = values.copy(), values.copy()
    np.minimum.at(low, groups, values)
    np.maximum.at(high, groups, values)
    return low[groups] != high[groups]


def clusters(
    twins: Twins, values: np.ndarray, within: np.ndarray | None = None, levels: Sequence[str] = LEVELS
) -> tuple[list[Cluster], dict[str, int]]:
    """Sets of the same images that have more than one value, the surest first.

    A set that is nearly the same is left out when each of its members already stands in a surer one.

    Args:
        twins: Of N images.
        values: int64 `[N]`, as `spanning` takes them.
        within: int64 `[N]`: only images of one and the same number make a set; None: all.
        levels: Those of `LEVELS` to look at.

    Returns:
        The sets, and for each level how many images have their twin of another value by it, and by no surer one.
    """
    covered = np.zeros(len(values), bool)
    found: list[Cluster] = []
    counts = {}
    for level in levels:
        groups = getattr(twins, level)
        if within is not None:
            groups = first_alike(zip(groups.tolist(), within.tolist(), strict=True))
        spans = spanning(groups, values)
        new = spans & ~covered
        counts[level] = int(new.sum())
        covered |= spans
        found += [Cluster(level, members) for members in gather(groups, np.isin(groups, groups[new]))]
    return found, counts


def gather(groups: np.ndarray, chosen: np.ndarray) -> list[tuple[int, ...]]:
    """The members of each group, of the images chosen; groups and members ascending."""
    places = np.flatnonzero(chosen)
    places = places[np.argsort(groups[places], kind="stable")]
    cuts = np.flatnonzero(np.diff(groups[places])) + 1
    return [tuple(part.tolist()) for part in np.split(places, cuts)] if len(places) else []


def _same_pixels(
    observations: Sequence[Observation],
    hashed: np.ndarray,
    near: np.ndarray,
    pixel_digests: Callable[[Sequence[int]], Mapping[int, str]],
) -> np.ndarray:
    """For each image the first one with the same pixels; `hashed` are the images to be looked at."""
    candidates: dict[Hashable, list[int]] = {}
    for i in hashed.tolist():
        alike = "flat" if observations[i].phash == FLAT else int(near[i])
        candidates.setdefault((alike, observations[i].upright), []).append(i)
    compared = sorted(i for members in candidates.values() if len(members) > 1 for i in members)
    digests = pixel_digests([observations[i].place for i in compared])
    pixels = np.arange(len(observations))
    known = [i for i in compared if observations[i].place in digests]
    if known:
        pixels[known] = np.array(known)[first_alike(digests[observations[i].place] for i in known)]
    return pixels
