"""A folder of class folders as a source, with or without split folders above them."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from base.errors import input_error, nearest, require
from pipelines.sources.source import Source
from pipelines.sources.split_names import SPLIT_NAMES

# What file managers and archivers leave behind; hidden names (".DS_Store") are passed over too.
_LITTER = {"__macosx", "thumbs.db", "desktop.ini"}
# By these names a file that lies beside the class folders is known as an image that would be lost.
_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"}
_LAYOUT = "SOURCE/CLASS/IMAGE, or SOURCE/train/CLASS/IMAGE with validation and test beside train"


def open_folder(root: Path, class_names: Sequence[str] = ()) -> Source:
    """Lists the images of `root/CLASS/...`, or of `root/SPLIT/CLASS/...` where there is a folder `train` with folders.

    Every file at any depth of a class folder is taken for an image, whatever its name; hidden files and what file
    managers leave behind are passed over. Links are followed.

    Args:
        root: The folder.
        class_names: The names of the class folders, in the order wanted; empty: sorted.

    Raises:
        InputError: No images, fewer than two classes, a class without images, a class that training lacks, images
            that belong to no class, or a folder that can't be read.
    """
    split_folders = _split_folders(root)
    listed = {split: _classes(folder, root) for split, folder in (split_folders or {None: root}).items()}
    classes = _class_order(listed["train" if split_folders else None], class_names, root)
    number = {name: place for place, name in enumerate(classes)}
    paths: list[str] = []
    labels: list[int] = []
    splits: dict[str, np.ndarray] = {}
    for split, images_of in listed.items():
        start = len(paths)
        for name, images in images_of.items():
            do = f"Training has {', '.join(classes[:20])}."
            require(
                name in number, f"Expected in {split} only classes that train has", folder=name, source=str(root), do=do
            )
            paths += images
            labels += [number[name]] * len(images)
        splits[split or ""] = np.arange(start, len(paths))

    def read(places: Sequence[int]) -> list[bytes]:
        return [_read(root / paths[place]) for place in places]

    return Source(
        name=str(root),
        classes=tuple(_text(name) for name in classes),
        ids=[_text(path) for path in paths],
        labels=np.asarray(labels, np.int64),
        splits=splits if split_folders else None,
        read=read,
        at_once=4,
    )


def _split_folders(root: Path) -> dict[str, Path] | None:
    """The split folders of `root` by our names for them, or None where its folders are classes."""
    folders = [entry.name for entry in _entries(root) if _is_dir(entry)]
    known = [name for name in folders if name.lower() in SPLIT_NAMES]
    train = next((name for name in known if SPLIT_NAMES[name.lower()] == "train" and _has_folder(root / name)), None)
    if train is None:
        expected = f"Expected a folder train with class folders beside the other splits ({_LAYOUT})"
        require(not folders or known != folders, expected, source=str(root), folders=folders)
        return None
    splits: dict[str, Path] = {}
    for name in folders:
        expected = f"Expected only split folders beside {train!r} in SOURCE"
        do = f"{nearest(name.lower(), SPLIT_NAMES)} Rename the folder, or move it away."
        require(name in known, expected, folder=str(root / name), do=do)
        split = SPLIT_NAMES[name.lower()]
        require(split not in splits, f"Expected one folder for the split {split} in SOURCE", folder=str(root / name))
        splits[split] = root / name
    _refuse_lost_images(root)
    return {split: splits[split] for split in ("train", "validation", "test") if split in splits}


def _classes(folder: Path, root: Path) -> dict[str, list[str]]:
    """Class -> its images' paths relative to `root`, both sorted."""
    entries = _entries(folder)
    names = [entry.name for entry in entries if _is_dir(entry)]
    do = "Put each class's images into a folder of its own."
    require(
        bool(names), f"Expected class folders ({_LAYOUT})", folder=str(folder), folders=0, files=len(entries), do=do
    )
    _refuse_lost_images(folder)
    prefix = "" if folder == root else f"{folder.name}/"
    classes = {name: sorted(_files(folder / name, f"{prefix}{name}/", set())) for name in names}
    for name, images in classes.items():
        do = "Remove the folder, or fill it."
        require(bool(images), "Expected images in every class folder", folder=str(folder / name), images=0, do=do)
    return classes


def _class_order(train: dict[str, list[str]], class_names: Sequence[str], root: Path) -> list[str]:
    require(len(train) > 1, f"Expected at least two class folders ({_LAYOUT})", source=str(root), classes=list(train))
    if not class_names:
        return list(train)
    odd = sorted(set(class_names) ^ set(train))
    expected = "Expected --class-names to be the names of the class folders, in the order wanted"
    require(not odd, expected, differing=odd[:10], do="Leave the option out to have them sorted.")
    return list(class_names)


def _files(folder: str | Path, prefix: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    """Every file below `folder`, as `prefix` and its path; a folder is entered once, so that links may form loops."""
    status = os.stat(folder)
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    for entry in _entries(folder):
        if _is_dir(entry):
            yield from _files(entry.path, f"{prefix}{entry.name}/", seen)
        else:
            yield prefix + entry.name


def _entries(folder: str | Path) -> list[os.DirEntry]:
    """What lies in `folder`, sorted by name, without hidden files and litter."""
    try:
        with os.scandir(folder) as entries:
            kept = [entry for entry in entries if not entry.name.startswith(".") and entry.name.lower() not in _LITTER]
    except OSError as error:
        raise input_error("Expected a readable folder", folder=str(folder), error=error.strerror) from None
    return sorted(kept, key=lambda entry: entry.name)


def _is_dir(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: reported when it is read
        return False


def _has_folder(folder: Path) -> bool:
    return any(_is_dir(entry) for entry in _entries(folder))


def _refuse_lost_images(folder: Path) -> None:
    """A README or a list of labels may lie beside the class folders; an image there has no class."""
    for entry in _entries(folder):
        if not _is_dir(entry) and Path(entry.name).suffix.lower() in _IMAGE_SUFFIXES:
            do = "Move it into its class's folder, or away."
            raise input_error(f"Expected every image inside a class folder ({_LAYOUT})", file=entry.path, do=do)


def _read(path: Path) -> bytes:
    try:
        is_file = stat.S_ISREG(os.stat(path).st_mode)
        require(is_file, "Expected a file", path=str(path), do="Remove this device, pipe or socket.")
        return path.read_bytes()
    except OSError as error:
        do = "Mend its permissions, or remove it."
        raise input_error("Expected a readable image", file=str(path), error=error.strerror, do=do) from None


def _text(name: str) -> str:
    """`name` as UTF-8 can hold it: file systems know names that are no text."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
