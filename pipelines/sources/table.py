"""A table of images and labels as a source: CSV, TSV, or parted by any other character."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from base.errors import input_error, require
from pipelines.sources.archive_kinds import list_archive
from pipelines.sources.disk import file_size, read_file
from pipelines.sources.labels import number_labels
from pipelines.sources.options import SourceOptions
from pipelines.sources.rows import Row, likely_groups, read_table
from pipelines.sources.source import Problem, Source, Unreadable
from pipelines.sources.split_names import SPLIT_NAMES
from pipelines.sources.tree import as_text

Find = Callable[[str], int | str]  # an image's path -> its size in bytes, or why it is none
Read = Callable[[str], bytes | Unreadable]


def open_table(path: Path, options: SourceOptions) -> Source:
    """The images that a table's rows name, with the labels, splits and groups that they say.

    A row whose image is missing or whose label is empty, one that repeats another, and all rows of an image that they
    say different things about become problems.

    Args:
        path: The table, UTF-8, with a header.
        options: Its columns, the images' folder or archive and suffix, the classes.

    Raises:
        InputError: No such columns, no row that can be used, a label outside --class-names, or no table at all.
    """
    table = read_table(path, options)
    find, read = _files(options, path)
    problems = list(table.problems)
    rows, sizes = [], []
    for row in table.rows:
        size = find(row.image)
        if isinstance(size, int):
            rows.append(row)
            sizes.append(size)
        else:
            problems.append(Problem(as_text(row.image), f"line {row.line}: {size}"))
    if not rows:
        first = f"{problems[0].id}: {problems[0].reason}" if problems else "no rows"
        do = "See --images, --image-suffix and --image-column."
        raise input_error("Expected a table with rows of images and labels", table=str(path), first=first, do=do)
    classes, labels = _number(rows, options, path)
    splits = _splits(rows) if options.split_column else None
    images = [row.image for row in rows]
    return Source(
        name=str(path),
        classes=classes,
        ids=[as_text(image) for image in images],
        labels=labels,
        splits=splits,
        read=lambda places: [read(images[place]) for place in places],
        at_once=4,
        groups=[row.group or f"{row.image} alone" for row in rows] if options.group_column else None,
        likely_groups=likely_groups(rows, table.suspects),
        sizes=np.array(sizes, np.int64),
        problems=tuple(problems),
        notes=_notes(rows, options),
    )


def _files(options: SourceOptions, table: Path) -> tuple[Find, Read]:
    """How images are found and read: in a folder, or in an archive."""
    root = Path(options.images or table.parent)
    if not root.is_file():
        require(root.is_dir(), "Expected --images to be a folder or an archive", images=options.images)
        return lambda path: file_size(os.path.join(root, path)), lambda path: read_file(root / path)
    tree = list_archive(root, enter_single_folder=False)
    return lambda path: tree.sizes.get(path, "no such file in the archive"), tree.read


def _number(rows: Sequence[Row], options: SourceOptions, path: Path) -> tuple[tuple[str, ...], np.ndarray]:
    labels = np.array([row.label for row in rows])
    if all(_is_plain_integer(label) for label in np.unique(labels)):  # 10 comes after 9, and --class-names number them
        labels = labels.astype(np.int64)
    name = f"column {options.label_column!r} of {path}"
    classes, numbered = number_labels({name: labels}, options.class_names, lambda _, row: f"line {rows[row].line}")
    return classes, numbered[0]


def _is_plain_integer(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19 and str(int(text)) == text


def _splits(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    names = np.array([SPLIT_NAMES.get(row.split.lower(), row.split) for row in rows])
    found = sorted(set(names.tolist()), key=lambda name: (name != "train", name != "validation", name))
    return {name: np.flatnonzero(names == name) for name in found}


def _notes(rows: Sequence[Row], options: SourceOptions) -> tuple[str, ...]:
    alone = sum(not row.group for row in rows)
    if options.group_column and alone:
        return (f"{alone:,} rows without a {options.group_column}: each is a group of its own",)
    return ()
