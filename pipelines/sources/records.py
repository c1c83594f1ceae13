"""Others' TFRecords as a source, `records:GLOB`: an image and a label a record, as ImageNet's usually are."""

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from base.errors import input_error, require
from pipelines.sources.labels import number_labels
from pipelines.sources.options import RECORDS, SourceOptions
from pipelines.sources.record_index import Found, Keys, index
from pipelines.sources.source import Source
from pipelines.sources.split_names import SPLIT_NAMES

_IMAGE_KEY, _LABEL_KEY = "image/encoded", "image/class/label"  # as TensorFlow's ImageNet scripts call them


def open_records(options: SourceOptions) -> Source:
    """The images of the TFRecord files that a glob pattern names.

    Splits are known by the files' names (`train-00000-of-01024`, `flowers_validation.tfrecord`). The classes are the
    sorted labels; they are called by `--class-names`, by the text beside the label (`image/class/text` beside
    `image/class/label`), or by the labels themselves.

    Raises:
        InputError: No such files, splits in some names only, or what `index` and `number_labels` refuse.
    """
    pattern = options.source.removeprefix(RECORDS)
    paths = [Path(path) for path in sorted(glob.glob(pattern, recursive=True)) if os.path.isfile(path)]
    require(bool(paths), "Expected records:GLOB to match TFRecord files", glob=pattern, files=0)
    root = Path(os.path.commonpath([path.parent for path in paths]))
    names = [path.relative_to(root).as_posix() for path in paths]
    label_key = options.label_key or _LABEL_KEY
    text_key = f"{label_key.removesuffix('label')}text" if label_key.endswith("/label") else ""
    keys = Keys(image=options.image_key or _IMAGE_KEY, label=label_key, text=text_key)
    found = index(paths, names, keys, options.source)
    classes, labels, notes = _classes(found, keys, options.class_names)
    split_of = _splits(names)
    splits = {name: np.flatnonzero(np.array(split_of)[found.file] == name) for name in dict.fromkeys(split_of) if name}
    return Source(
        name=options.source,
        classes=classes,
        ids=found.ids,
        labels=labels,
        splits=splits or None,
        read=lambda places: [found.read(place) for place in places],
        at_once=4,
        sizes=found.image[:, 1],
        problems=tuple(found.problems),
        notes=notes,
    )


def _classes(found: Found, keys: Keys, given: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray, tuple[str, ...]]:
    """The classes' names, the labels as places in them, and what is to be said about it."""
    labels = np.array(found.labels)
    one_based = labels.dtype.kind == "i" and labels.min() >= 1
    notes = []
    if one_based and given and labels.max() == len(given):
        labels = labels - 1
        notes.append(f"labels count from 1: --class-names begins with the name of label 1, {given[0]!r}")
    name = f"feature {keys.label!r}"
    known, (numbered,) = number_labels({name: labels}, given, lambda _, place: found.ids[place])
    if given:
        return known, numbered, tuple(notes)
    if one_based:
        notes.append(f"labels count from {labels.min()}: label {known[0]} becomes class 0")
    texts = [found.texts.get(label, set()) for label in np.unique(labels).tolist()]
    if not any(texts):
        return known, numbered, tuple(notes)
    names = [next(iter(text)) for text in texts if len(text) == 1]
    if len(set(names)) == len(known):
        return tuple(names), numbered, (*notes, f"classes are called as {keys.text!r} says")
    twice = sorted({name for name in names if names.count(name) > 1} | set().union(*(t for t in texts if len(t) > 1)))
    why = f"not one name for each label in {keys.text!r}" + (f" ({', '.join(map(repr, twice[:3]))})" if twice else "")
    return known, numbered, (*notes, f"{why}: classes are called by their labels; --class-names names them")


def _splits(names: Sequence[str]) -> list[str]:
    """Each file's split by its name; "" for all where no name holds one."""
    splits = []
    for name in names:
        words = re.split(r"[^A-Za-z]+", name.rpartition("/")[2].lower())
        splits.append(next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), ""))
    if any(splits) and not all(splits):
        odd = names[splits.index("")]
        expected = "Expected a split in every file's name or in none"
        do = "Narrow the glob, or give several conversions."
        raise input_error(expected, without=odd, with_one=names[next(n for n, s in enumerate(splits) if s)], do=do)
    return splits
