"""A folder of images as a source, on disk or in an archive: by class folders, or by labels in the names."""

from collections.abc import Sequence

import numpy as np

from base.errors import input_error, require
from pipelines.sources.layout import Place, by_folders, by_names
from pipelines.sources.source import Source, Unreadable
from pipelines.sources.tree import Tree, as_text


def open_folder(tree: Tree, class_names: Sequence[str] = (), label_pattern: str = "") -> Source:
    """The images of a tree.

    Args:
        tree: The files.
        class_names: The classes in the order wanted; empty: sorted.
        label_pattern: Regular expression of the label in a file's name; empty: the folders are the classes.

    Raises:
        InputError: No images, fewer than two classes, a class that training lacks, or what `layout` refuses.
    """
    layout = by_names(tree, label_pattern) if label_pattern else by_folders(tree)
    places = layout.places
    classes = _classes(tree, places, class_names)
    number = {name: place for place, name in enumerate(classes)}
    paths = [place.path for place in places]
    split_of = np.array([place.split or "" for place in places])
    splits = {split: np.flatnonzero(split_of == split) for split in dict.fromkeys(split_of.tolist())}

    def read(chosen: Sequence[int]) -> list[bytes | Unreadable]:
        return [tree.read(paths[place]) for place in chosen]

    return Source(
        name=tree.name,
        classes=tuple(as_text(name) for name in classes),
        ids=[as_text(path) for path in paths],
        labels=np.array([number[place.label] for place in places], np.int64),
        splits=None if "" in splits else splits,
        read=read,
        at_once=4,
        sizes=np.array([tree.sizes[path] for path in paths], np.int64),
        problems=(*tree.problems, *layout.problems),
        notes=(f"left aside, no images by their names: {_some(layout.aside)}",) if layout.aside else (),
    )


def _classes(tree: Tree, places: Sequence[Place], class_names: Sequence[str]) -> list[str]:
    """The training images' classes, in the order wanted; the other splits may have no others."""
    train = sorted({place.label for place in places if place.split in ("train", None)})
    require(len(train) > 1, "Expected at least two classes of images", source=tree.name, classes=train)
    for place in places:
        if place.label not in train:
            expected = f"Expected in {place.split} only classes that train has"
            do = f"Training has {', '.join(train[:20])}."
            raise input_error(expected, label=as_text(place.label), file=as_text(place.path), source=tree.name, do=do)
    if not class_names:
        return train
    odd = sorted(set(class_names) ^ set(train))
    expected = "Expected --class-names to be the names of SOURCE's classes, in the order wanted"
    require(not odd, expected, differing=odd[:10], do="Leave the option out to have them sorted.")
    return list(class_names)


def _some(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
    return ", ".join(map(repr, map(as_text, paths[:5]))) + more
