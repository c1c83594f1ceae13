"""Which class and split each file of a tree belongs to: by its folders, or by its name. Computes, and reads nothing."""

import dataclasses
import re
from collections.abc import Collection

from base.errors import input_error, nearest, require
from pipelines.sources.source import Problem
from pipelines.sources.split_names import SPLIT_NAMES
from pipelines.sources.tree import Tree, as_text

# By these names a file that belongs to no class is known as an image that would be lost.
IMAGE_NAME = re.compile(r".*\.(jpe?g|jpe|jfif|png|bmp|gif|webp|tiff?)", re.IGNORECASE | re.DOTALL)
_FOLDERS = "SOURCE/CLASS/IMAGE, or SOURCE/train/CLASS/IMAGE with validation and test beside train"
_ORDER = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where a file belongs."""

    path: str
    label: str
    split: str | None  # None where the tree has no splits


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """What a tree's files are."""

    places: list[Place]
    aside: list[str]  # paths of files that lie beside the images' folders, and are no images by their names
    problems: list[Problem]


def by_folders(tree: Tree) -> Layout:
    """The files of `CLASS/...`, or of `SPLIT/CLASS/...` where there is a folder `train` with folders.

    Every file at any depth of a class folder is taken for an image, whatever its name.

    Raises:
        InputError: No class folders, one without a file, or images that belong to none.
    """
    inner = {folder.split("/")[0] for folder in tree.folders if "/" in folder}
    splits = _split_folders(tree, inner) or {None: ""}
    places: list[Place] = []
    aside = [] if None in splits else _refuse_images(tree, "")
    for split, folder in splits.items():
        prefix = f"{folder}/" if folder else ""
        names = sorted(path[len(prefix) :] for path in tree.folders if _parent(path) == folder)
        do = "Put each class's images into a folder of its own, or give --label-pattern where the names tell the class."
        none = f"Expected class folders ({_FOLDERS})"
        where = f"{tree.name}/{folder}" if folder else tree.name
        files = sum(_parent(path) == folder for path in tree.sizes)
        require(bool(names), none, folder=where, folders=0, files=files, do=do)
        aside += _refuse_images(tree, folder)
        here = [Place(path, path[len(prefix) :].split("/")[0], split) for path in tree.sizes if _below(path, prefix)]
        empty = sorted(set(names) - {place.label for place in here})
        do = "Remove the folder, or fill it."
        expected = "Expected images in every class folder"
        require(not empty, expected, folder=f"{where}/{''.join(empty[:1])}", images=0, do=do)
        places += here
    return Layout(places, aside, [])


def by_names(tree: Tree, pattern: str) -> Layout:
    """The files whose own names, without the folders, `pattern` is found in.

    The label is what the pattern's first group matches, or all of it where there is no group. Folders say nothing,
    except the splits' where there is a folder `train`.

    Raises:
        InputError: An image whose name the pattern does not match; a file that is none by its name is a problem.
    """
    search = re.compile(pattern).search
    splits = _split_folders(tree, {path.split("/")[0] for path in tree.sizes if "/" in path})
    split_of = {folder: split for split, folder in (splits or {}).items()}
    aside = _refuse_images(tree, "") if splits else []
    places, problems = [], []
    for path in sorted(tree.sizes.keys() - aside):
        match = search(path.rpartition("/")[2])
        label = match and (match[1] if match.re.groups else match[0])
        if label:
            places.append(Place(path, label, split_of.get(path.split("/")[0])))
            continue
        expected = "Expected --label-pattern to find a label in every image's name"
        require(not IMAGE_NAME.fullmatch(path), expected, file=as_text(path), label_pattern=pattern)
        problems.append(Problem(as_text(path), "--label-pattern finds no label in its name, nor is it an image by it"))
    return Layout(places, aside, problems)


def _split_folders(tree: Tree, holding: Collection[str]) -> dict[str, str] | None:
    """Split -> its folder, or None where the top folders are no splits. `holding`: those that may be `train`'s."""
    folders = sorted(folder for folder in tree.folders if "/" not in folder)
    known = {name: SPLIT_NAMES[name.lower()] for name in folders if name.lower() in SPLIT_NAMES}
    train = next((name for name, split in known.items() if split == "train" and name in holding), None)
    if train is None:
        expected = f"Expected a folder train with class folders beside the other splits ({_FOLDERS})"
        require(not folders or len(known) < len(folders), expected, source=tree.name, folders=folders)
        return None
    for name in folders:
        expected = f"Expected only split folders beside {train!r} in SOURCE"
        do = f"{nearest(name.lower(), SPLIT_NAMES)} Rename the folder, or move it away."
        require(name in known, expected, folder=f"{tree.name}/{name}", do=do)
    splits: dict[str, str] = {}
    for name, split in known.items():
        expected = f"Expected one folder for the split {split} in SOURCE"
        require(split not in splits, expected, folder=f"{tree.name}/{name}")
        splits[split] = name
    return {split: splits[split] for split in _ORDER if split in splits}


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _below(path: str, prefix: str) -> bool:
    return path.startswith(prefix) and "/" in path[len(prefix) :]


def _refuse_images(tree: Tree, folder: str) -> list[str]:
    """The files right in `folder`: a README or a list of labels may lie there; an image would belong to no class."""
    paths = [path for path in tree.sizes if _parent(path) == folder]
    for path in paths:
        if IMAGE_NAME.fullmatch(path):
            do = "Move it into its class's folder, or away."
            raise input_error(
                f"Expected every image inside a class folder ({_FOLDERS})", file=f"{tree.name}/{path}", do=do
            )
    return paths
