"""The files of a folder on disk, with links followed and everything that is no file named."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from base.errors import input_error
from pipelines.sources.source import Problem, Unreadable
from pipelines.sources.tree import MAX_BYTES, TOO_LARGE, Tree, as_text, is_litter


def list_folder(root: Path) -> Tree:
    """Every file below `root`, at any depth.

    Links are followed, except to folders that lie in `root` (their files would be there twice, in two classes or
    splits perhaps) and to folders above themselves.

    Raises:
        InputError: A folder that can't be read: nobody knows what it holds.
    """
    sizes: dict[str, int] = {}
    folders: set[str] = set()
    problems: list[Problem] = []
    for path, found in _walk(str(root), "", (), os.path.realpath(root)):
        if found is None:
            folders.add(path)
        elif isinstance(found, int):
            sizes[path] = found
        else:
            problems.append(Problem(as_text(path), found))
    return Tree(
        name=str(root),
        sizes=dict(sorted(sizes.items())),
        folders=folders,
        read=lambda path: read_file(root / path),
        problems=tuple(problems),
    )


def walk_folder(root: Path) -> Iterator[tuple[str, int | str]]:
    """The same files one after the other, without a list of them: path, and size in bytes or what is wrong with it."""
    for path, found in _walk(str(root), "", (), os.path.realpath(root)):
        if found is not None:
            yield path, found


def read_file(path: Path) -> bytes | Unreadable:
    """A file's content."""
    try:
        return path.read_bytes()
    except OSError as error:
        return Unreadable(error.strerror or str(error))


def file_size(path: str | Path) -> int | str:
    """A file's size in bytes, links followed, or why there is no file that can be an image."""
    try:
        status = os.stat(path)
    except OSError as error:
        return error.strerror
    except ValueError as error:  # a null character
        return str(error)
    if not stat.S_ISREG(status.st_mode):
        return "no file, but a folder, device, pipe or socket"
    return status.st_size if status.st_size <= MAX_BYTES else TOO_LARGE


def read_span(path: Path, offset: int, size: int) -> bytes:
    """`size` bytes of a file, fewer at its end.

    The file is opened each time: that takes some 10 microseconds, and no handle is shared between threads or kept.

    Raises:
        OSError: It can't be read.
    """
    with open(path, "rb", buffering=0) as file:
        file.seek(offset)
        return file.read(size)


def _walk(
    folder: str, prefix: str, above: tuple[tuple[int, int], ...], root: str
) -> Iterator[tuple[str, int | str | None]]:
    """Paths with the size of a file, None for a folder, or the reason why there is neither."""
    try:
        status = os.stat(folder)
        with os.scandir(folder) as found:
            entries = sorted((entry for entry in found if not is_litter(entry.name)), key=lambda entry: entry.name)
    except OSError as error:
        raise input_error("Expected a readable folder", folder=folder, error=error.strerror) from None
    here = (status.st_dev, status.st_ino)
    if here in above:
        yield prefix[:-1], "a link to a folder above it"
        return
    for entry in entries:
        path = prefix + entry.name
        if not _is_folder(entry):
            yield path, file_size(entry.path)
        elif entry.is_symlink() and _inside(os.path.realpath(entry.path), root):
            yield path, "a link to a folder that lies in SOURCE itself"
        else:
            yield path, None
            yield from _walk(entry.path, f"{path}/", (*above, here), root)


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _inside(path: str, root: str) -> bool:
    return path == root or path.startswith(os.path.join(root, ""))
