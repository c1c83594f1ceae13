"""From a source to its splits, and what the user should know about them. Without TensorFlow."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from base.errors import input_error, nearest, require
from pipelines.conversion.splits import TEST_SHARE, hash_ids, hold_out, shuffle, stratify, undersample
from pipelines.sources.options import SPLIT_NAME, SPLIT_NAME_RULE, SourceOptions
from pipelines.sources.source import Source

_LEAVE = "Leave the option out."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """Which images go into which split, in which order."""

    splits: dict[str, np.ndarray]  # name -> int64 places, none empty, in the order in which they are to stand
    left_out: np.ndarray  # int64 places that --balance leaves out, ascending
    notes: tuple[str, ...]  # sentences for the user; the source's own among them
    warnings: tuple[str, ...]  # those that whoever judges a model by these splits must know, too


def plan_splits(source: Source, options: SourceOptions) -> Plan:
    """Divides a source as the options say, or as it is divided itself.

    Raises:
        InputError: Classes that can't be used or have no training example; splits that are to be renamed and aren't
            there; shares for a source that has splits of its own.
    """
    _check_classes(source)
    hashes = hash_ids(source.ids, options.seed)
    groups, group_hashes = _groups(source, options.seed)
    alike = hashes if groups is None else group_hashes
    own = _own(source, options)
    if own is None:
        splits = stratify(source.labels, alike, _shares(options), groups)
    elif _holds_out(own, options):
        splits = hold_out(own, options.held_out, source.labels, alike, groups)
    else:
        splits = own
    splits, left_out = shuffle(splits, hashes), np.zeros(0, np.int64)
    notes = [*source.notes, _origin(own, splits, options, groups is not None)]
    notes += _missing(own, splits, options)
    warnings = _divided(source, groups, splits)
    notes += warnings
    if options.balance == "undersample":
        splits, left_out = undersample(splits, source.labels, hashes)
        notes.append(f"--balance undersample leaves {len(left_out):,} images out")
    for name, places in splits.items():
        notes += _absent(source, name, places)
    return Plan(splits=splits, left_out=left_out, notes=tuple(notes), warnings=tuple(warnings))


def _own(source: Source, options: SourceOptions) -> dict[str, np.ndarray] | None:
    """The source's own splits by the names that they are to have; None where it has none or they are merged."""
    if source.splits is None:
        expected = "Expected {} only where SOURCE has splits of its own"
        require(not options.merge_splits, expected.format("--merge-splits"), source=source.name, do=_LEAVE)
        require(not options.renamed, expected.format("--rename-split"), source=source.name, do=_LEAVE)
        return None
    if options.merge_splits:
        return None
    require(
        not options.split,
        "Expected --split only where SOURCE has no splits of its own",
        splits=list(source.splits),
        do="Add --merge-splits to divide all of its images anew.",
    )
    return _renamed(source.splits, options.renamed)


def _renamed(splits: Mapping[str, np.ndarray], renamed: Mapping[str, str]) -> dict[str, np.ndarray]:
    for name in renamed:
        if name not in splits:
            raise input_error("Expected --rename-split of SOURCE's splits", split=name, do=nearest(name, splits))
    names = [renamed.get(name, name) for name in splits]
    twice = sorted({name for name in names if names.count(name) > 1})
    do = "Give another name, or divide all anew with --merge-splits."
    require(not twice, "Expected --rename-split to leave every split a name of its own", twice=twice, do=do)
    odd = [name for name in names if not SPLIT_NAME.fullmatch(name)]
    expected = f"Expected splits' names of {SPLIT_NAME_RULE}"
    require(not odd, expected, names=odd[:5], do="Rename them with --rename-split OLD=NEW.")
    return dict(zip(names, splits.values(), strict=True))


def _shares(options: SourceOptions) -> dict[str, float]:
    held_out = options.held_out
    return options.shares or {"train": 1 - held_out - TEST_SHARE, "validation": held_out, "test": TEST_SHARE}


def _holds_out(own: Mapping[str, np.ndarray], options: SourceOptions) -> bool:
    return "train" in own and "validation" not in own and options.held_out > 0


def _groups(source: Source, seed: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Each image's group as a number, int64 `[N]`, and the group's hash, uint64 `[N]`."""
    if source.groups is None:
        return None, None
    names, groups = np.unique(np.asarray(source.groups, dtype=object), return_inverse=True)
    return groups, hash_ids(names.tolist(), seed)[groups]


def _check_classes(source: Source) -> None:
    require(len(source.classes) > 1, "Expected at least two classes", source=source.name, classes=list(source.classes))
    # TFDS keeps the names one a line
    odd = [name for name in source.classes if not name.strip() or len(name.splitlines()) > 1]
    require(not odd, "Expected class names of one line, not blank", source=source.name, names=odd, do="Rename them.")


def _origin(
    own: Mapping[str, np.ndarray] | None, splits: Mapping[str, np.ndarray], options: SourceOptions, grouped: bool
) -> str:
    alike = f"by seed {options.seed}, each class alike{', no group divided' if grouped else ''}"
    if own is None:
        return f"{'its own splits merged' if options.merge_splits else 'no splits of its own'}: divided {alike}"
    if "validation" in own:
        return f"its own splits: {', '.join(splits)}"
    if "validation" in splits:
        return f"no validation of its own: {options.held_out:g} of train held out {alike}"
    if "train" not in own:
        return f"its own splits: {', '.join(splits)}; no train, so nothing is held out of it"
    return f"no validation of its own, and none held out (--hold-out {options.hold_out})"


def _missing(
    own: Mapping[str, np.ndarray] | None, splits: Mapping[str, np.ndarray], options: SourceOptions
) -> list[str]:
    """A sentence for each split that was to be there, and has no image."""
    if own is None:
        wanted = {name for name, share in _shares(options).items() if share > 0}
    else:
        wanted = own.keys() | ({"validation"} if _holds_out(own, options) else set())
    return [f"too few images for {name}: there is none" for name in sorted(wanted - splits.keys())]


def _divided(source: Source, groups: np.ndarray | None, splits: Mapping[str, np.ndarray]) -> list[str]:
    """A sentence where the source's own splits divide groups, or any splits what looks like groups."""
    if groups is not None:
        count = _in_several(groups, splits)
        return [f"{count:,} groups have images in more than one of its own splits"] if count else []
    if source.likely_groups is None:
        return []
    name, values = source.likely_groups
    known = np.flatnonzero([value != "" for value in values])
    numbers = np.full(len(values), -1)
    numbers[known] = np.unique(np.array(values, dtype=object)[known], return_inverse=True)[1]
    known_splits = {split: places[numbers[places] >= 0] for split, places in splits.items()}
    count = _in_several(numbers, known_splits)
    sentence = (
        f"{count:,} of the {numbers.max() + 1:,} values of column {name!r} have images in more than one split: if "
        f"those of one are alike, models are judged better than they are; --group-column {name} keeps them together"
    )
    return [sentence] if count else []


def _in_several(groups: np.ndarray, splits: Mapping[str, np.ndarray]) -> int:
    """How many groups, int `[N]`, have images in more than one split."""
    pairs = np.concatenate([np.unique(groups[places]) for places in splits.values()])
    return int((np.bincount(pairs) > 1).sum())


def _absent(source: Source, name: str, places: np.ndarray) -> list[str]:
    """A sentence where a split has no example of some class; in training every class must have one."""
    counts = np.bincount(source.labels[places], minlength=len(source.classes))
    empty = [source.classes[place] for place in np.flatnonzero(counts == 0)]
    require(
        not (empty and name == "train"),
        "Expected at least one training example of every class",
        source=source.name,
        without=empty[:5],
        do="Add images of these classes, or leave the classes out.",
    )
    shown = ", ".join(empty[:5]) + (f" and {len(empty) - 5} more" if len(empty) > 5 else "")
    return [f"{name} has no example of {shown}"] if empty else []
