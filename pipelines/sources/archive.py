"""The files of an archive, read without unpacking it: from the list of its members to a tree.

`zip_archive` and `tar_archive` list the members; a member's place in the archive is known from then on, so any thread
reads any of them.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from base.errors import require
from pipelines.sources.source import Problem, Unreadable
from pipelines.sources.split_names import SPLIT_NAMES
from pipelines.sources.tree import MAX_BYTES, TOO_LARGE, Tree, as_text, is_litter

_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


class Member(NamedTuple):
    """One entry of an archive."""

    name: str
    size: int  # bytes when read
    place: tuple[int, ...] | str | None  # for the reader; why it can't be read; None for a folder


def compression(start: bytes) -> str | None:
    """What a file is compressed with as a whole, by its first bytes; None for nothing known."""
    return next((kind for magic, kind in _COMPRESSED.items() if start.startswith(magic)), None)


def to_tree(
    path: Path,
    members: Iterable[Member],
    read: Callable[[tuple[int, ...]], bytes | Unreadable],
    *,
    enter_single_folder: bool = True,
) -> Tree:
    """The members as files.

    Args:
        path: The archive.
        members: In its order.
        read: A member's content, by its place.
        enter_single_folder: Whether a folder that holds all the rest is the root (unless it is a split's).

    Raises:
        InputError: A member whose path is absolute or leads upwards: this archive was not made of a folder.
    """
    files: dict[str, Member] = {}
    folders: set[str] = set()
    problems: list[Problem] = []
    for member in members:
        parts = _parts(member.name, path)
        if any(is_litter(part) for part in parts):
            continue
        name = "/".join(parts)
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts) + (member.place is None)))
        if isinstance(member.place, str):
            problems.append(Problem(as_text(name), member.place))
        elif member.size > MAX_BYTES:
            problems.append(Problem(as_text(name), TOO_LARGE))
        elif member.place is not None:
            if name in files:
                problems.append(Problem(as_text(name), "another file of this name follows in the archive"))
            files[name] = member
    prefix = _single_folder(files, folders) if enter_single_folder else ""
    inside = {name.removeprefix(prefix): files[name] for name in sorted(files)}
    return Tree(
        name=str(path),
        sizes={name: member.size for name, member in inside.items()},
        folders={folder.removeprefix(prefix) for folder in folders if folder.startswith(prefix)},
        read=lambda name: read(inside[name].place),
        problems=tuple(problems),
    )


def _parts(name: str, archive: Path) -> list[str]:
    parts = re.split(r"[/\\]", name)
    outside = ".." in parts or parts[0] == "" or re.match(r"[A-Za-z]:[/\\]", name)
    expected = "Expected only members inside the archive's own folder, none with an absolute path or '..'"
    require(not outside, expected, archive=str(archive), member=as_text(name), do="Pack the folder itself.")
    return [part for part in name.split("/") if part not in ("", ".")]


def _single_folder(files: Iterable[str], folders: Iterable[str]) -> str:
    """The path, "/" at its end, of the folder that holds everything; "" where there are several, or it is a split's."""
    prefix = ""
    while True:
        top = {name.removeprefix(prefix).split("/")[0] for name in (*files, *folders) if name.startswith(prefix)}
        top -= {""}
        name = next(iter(top)) if len(top) == 1 else ""
        if not name or prefix + name in files or name.lower() in SPLIT_NAMES:
            return prefix
        prefix += f"{name}/"
