"""From a source to its splits, and what the user should know about them. Without TensorFlow."""

import numpy as np

from base.errors import require
from pipelines.source_options import SourceOptions
from pipelines.sources.source import Source
from pipelines.splits import assign, hash_ids


def plan_splits(source: Source, options: SourceOptions) -> tuple[dict[str, np.ndarray], list[str]]:
    """Which images go into which split, in which order.

    Returns:
        Split -> int64 places, and sentences for the user.

    Raises:
        InputError: Classes that can't be used, or that have no training example.
    """
    _check_classes(source)
    splits = assign(source.labels, hash_ids(source.ids, options.seed), source.splits, options.held_out)
    notes = [*source.notes, _origin(source, splits, options)]
    wanted = set(source.splits or ("train", "test")) | ({"validation"} if options.held_out else set())
    notes += [f"too few images for {name}: there is none" for name in sorted(wanted - splits.keys())]
    for name in splits:
        counts = np.bincount(source.labels[splits[name]], minlength=len(source.classes))
        empty = [source.classes[place] for place in np.flatnonzero(counts == 0)]
        shown = ", ".join(empty[:5]) + (f" and {len(empty) - 5} more" if len(empty) > 5 else "")
        require(
            not (empty and name == "train"),
            "Expected at least one training example of every class",
            source=source.name,
            without=empty[:5],
            do="Add images of these classes, or leave the classes out.",
        )
        if empty:
            notes.append(f"{name} has no example of {shown}")
    return splits, notes


def _check_classes(source: Source) -> None:
    require(len(source.classes) > 1, "Expected at least two classes", source=source.name, classes=list(source.classes))
    # TFDS keeps the names one a line
    odd = [name for name in source.classes if not name.strip() or len(name.splitlines()) > 1]
    require(not odd, "Expected class names of one line, not blank", source=source.name, names=odd, do="Rename them.")


def _origin(source: Source, splits: dict[str, np.ndarray], options: SourceOptions) -> str:
    if source.splits is None:
        return f"no splits of its own: divided by seed {options.seed}, each class alike"
    if "validation" in source.splits:
        return f"its own splits: {', '.join(splits)}"
    if "validation" in splits:
        share = f"{options.held_out:g} of train"
        return f"no validation of its own: {share} held out by seed {options.seed}, each class alike"
    return f"no validation of its own, and none held out (--hold-out {options.hold_out})"
