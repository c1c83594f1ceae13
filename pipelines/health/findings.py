"""From observations to findings: what is wrong, how grave it is, what to do, and which images show it."""

import collections
import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from pipelines.health.facts import Facts, split_order
from pipelines.health.observation import Observation
from pipelines.health.perceptual import FLAT
from pipelines.health.twins import Cluster, Twins, clusters, first_alike, gather, spanning
from pipelines.sources.source import Problem

LEVELS = ("serious", "warning", "note")
_HOW = {"bytes": "the same bytes", "pixels": "the same pixels", "near": "nearly the same"}
_UNEQUAL, _VERY_UNEQUAL = 1.5, 10.0  # images of the largest class to those of the smallest
_SMALL_SIDE, _SMALL_SHARE = 32, 0.25  # a side is small below both: pixels, and share of the median
_LONG = 4.0  # longer side to shorter


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that the reader should look at."""

    kind: str  # a name for programs
    level: str  # one of LEVELS
    title: str
    text: str  # what it is about, and what to do
    images: int  # how many it concerns
    clusters: tuple[Cluster, ...] = ()  # that show it
    lines: tuple[tuple[str, str], ...] = ()  # (path, reason), of files that are no images


def find(observations: Sequence[Observation], problems: Sequence[Problem], facts: Facts, twins: Twins) -> list[Finding]:
    """All findings, the gravest first.

    Args:
        observations: `[N]`, N at least 1.
        problems: Files that could not be converted.
        facts: Of the observations.
        twins: Of the observations.
    """
    splits = first_alike(one.split for one in observations)
    labels = np.array([one.label for one in observations], np.int64)
    found = [
        *_leaks(observations, twins, splits),
        *_conflicts(twins, labels),
        *_divided_groups(observations, splits),
        *unreadable(problems),
        *_missing_classes(facts),
        *_copies(twins, splits, labels),
        *_imbalance(facts),
        *_without_contrast(observations),
        *_odd_sizes(observations),
        *_forms(observations, facts),
    ]
    return sorted(found, key=lambda finding: LEVELS.index(finding.level))


def _leaks(observations: Sequence[Observation], twins: Twins, splits: np.ndarray) -> list[Finding]:
    sets, counts = clusters(twins, splits)
    concerned = spanning(twins.near, splits)
    sides = collections.Counter(one.split for one, spans in zip(observations, concerned, strict=True) if spans)
    shares = ", ".join(f"{sides[split]:,} of {split}" for split in sorted(sides, key=split_order))
    text = (
        f"{_counted(counts)}; {shares}. A model remembers them, and is measured better than it is. Remove them from "
        "one split, or give pictures of one thing the same group (--group-column) and divide anew."
    )
    return _of_sets("leak", "The same image in two splits", text, sets, counts)


def _conflicts(twins: Twins, labels: np.ndarray) -> list[Finding]:
    sets, counts = clusters(twins, labels)
    text = f"{_counted(counts)}. One of the labels is wrong, or the picture shows both. Correct it or leave it out."
    return _of_sets("conflict", "The same image in two classes", text, sets, counts)


def _of_sets(kind: str, title: str, text: str, sets: Sequence[Cluster], counts: dict[str, int]) -> list[Finding]:
    images = sum(counts.values())
    finding = Finding(kind=kind, level="serious", title=title, text=text, images=images, clusters=tuple(sets))
    return [finding] if images else []


def _divided_groups(observations: Sequence[Observation], splits: np.ndarray) -> list[Finding]:
    # an image without a group is one of its own
    groups = first_alike(i if one.group is None else ("group", one.group) for i, one in enumerate(observations))
    spans = spanning(groups, splits)
    sets = [Cluster(f"group {observations[members[0]].group}", members) for members in gather(groups, spans)]
    text = (
        f"{len(sets):,} groups have images in more than one split. Pictures of one patient, animal or scene are alike, "
        "so that a model is measured better than it is. Divide anew by group (--merge-splits with --split)."
    )
    finding = Finding(
        kind="divided_group",
        level="serious",
        title="Groups in two splits",
        text=text,
        images=int(spans.sum()),
        clusters=tuple(sets),
    )
    return [finding] if sets else []


def unreadable(problems: Sequence[Problem]) -> list[Finding]:
    """What could not be converted, if there is any."""
    lines = tuple(sorted((problem.id, problem.reason) for problem in problems))
    finding = Finding(
        kind="problem",
        level="warning",
        title="Not converted",
        text="These could not be read or decoded in full, or are no images. Repair or remove them.",
        images=len(lines),
        lines=lines,
    )
    return [finding] if lines else []


def _missing_classes(facts: Facts) -> list[Finding]:
    found = []
    for split, counts in facts.counts.items():
        missing = counts.count(0)
        if missing:
            title = f"Classes without an image in {split}"
            text = f"{missing:,} of {len(counts):,} classes; nothing can be learnt or said about them there."
            found.append(Finding(kind="missing_class", level="warning", title=title, text=text, images=0))
    return found


def _copies(twins: Twins, splits: np.ndarray, labels: np.ndarray) -> list[Finding]:
    here = first_alike(zip(splits.tolist(), labels.tolist(), strict=True))
    own = np.arange(len(splits))
    sets, counts = clusters(twins, own, here)
    same = [one for one in sets if one.how != "near"]
    near = [one for one in sets if one.how == "near"]
    found = []
    if same:
        exact = {how: count for how, count in counts.items() if how != "near"}
        text = f"{_counted(exact)}. They weigh double in training and in the accuracy. Keep one of each."
        images = sum(exact.values())
        title = "Copies within one class and split"
        found.append(Finding(kind="copy", level="warning", title=title, text=text, images=images, clusters=tuple(same)))
    if near:
        text = "They add little to each other: frames of one scene, or one picture in two sizes."
        title = "Nearly the same within one class and split"
        images = counts["near"]
        found.append(Finding(kind="near", level="note", title=title, text=text, images=images, clusters=tuple(near)))
    return found


def _imbalance(facts: Facts) -> list[Finding]:
    counts = [count for count in facts.counts[facts.trained_on] if count]
    ratio = max(counts) / min(counts) if counts else 1.0
    text = (
        f"The largest class of {facts.trained_on} has {ratio:,.1f} times the images of the smallest. Use the "
        "class weights below, or --balance undersample, and look at the accuracy class by class."
    )
    level = "warning" if ratio >= _VERY_UNEQUAL else "note"
    finding = Finding(kind="imbalance", level=level, title="Unequal classes", text=text, images=0)
    return [finding] if ratio >= _UNEQUAL else []


def _without_contrast(observations: Sequence[Observation]) -> list[Finding]:
    text = "They are of one colour, or nearly: black, blank, covered. They are near duplicates of no image."
    members = [i for i, one in enumerate(observations) if one.phash == FLAT]
    return _of_members("flat", "warning", "Pictures without contrast", text, members)


def _odd_sizes(observations: Sequence[Observation]) -> list[Finding]:
    short = np.array([min(one.upright) for one in observations])
    longer = np.array([max(one.upright) for one in observations])
    small = np.flatnonzero(short < min(_SMALL_SIDE, _SMALL_SHARE * np.median(short)))
    text = f"Their shorter side is below {_SMALL_SIDE} pixels, and below a quarter of the median: icons, or thumbnails."
    found = _of_members("small", "note", "Very small images", text, small[np.argsort(short[small], kind="stable")])
    long = np.flatnonzero(longer > _LONG * short)
    text = f"One side is more than {_LONG:g} times the other: a crop or a stretch to a square loses most of them."
    order = np.argsort(-(longer / short)[long], kind="stable")
    return found + _of_members("long", "note", "Very long images", text, long[order])


def _forms(observations: Sequence[Observation], facts: Facts) -> list[Finding]:
    found = []
    turned = sum(one.orientation != 1 for one in observations)
    if turned:
        text = "EXIF says that they are stored turned or mirrored. Millrace turns them upright wherever it decodes."
        found.append(Finding(kind="orientation", level="note", title="Stored turned", text=text, images=turned))
    grey = sum(one.channels <= 2 for one in observations)
    if 0 < grey < len(observations):
        text = f"{grey:,} of {len(observations):,} images are grey. Where that differs by class, a model may learn it."
        found.append(Finding(kind="channels", level="note", title="Grey and colour mixed", text=text, images=grey))
    unhashed = sum(one.phash is None for one in observations)
    if unhashed:
        text = "Without a perceptual hash (--check none) only files with equal bytes are known to be the same."
        title = "Not compared as pictures"
        found.append(Finding(kind="unhashed", level="note", title=title, text=text, images=unhashed))
    return found


def _of_members(kind: str, level: str, title: str, text: str, members: Iterable[int]) -> list[Finding]:
    members = tuple(int(member) for member in members)
    shown = (Cluster(kind, members),)
    finding = Finding(kind=kind, level=level, title=title, text=text, images=len(members), clusters=shown)
    return [finding] if members else []


def _counted(counts: dict[str, int]) -> str:
    """ "12 images: 9 by the same bytes, 3 nearly the same"."""
    parts = [f"{count:,} {_HOW[how]}" for how, count in counts.items() if count]
    return f"{sum(counts.values()):,} images: {', '.join(parts)}"
