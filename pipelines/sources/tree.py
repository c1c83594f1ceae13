"""What a folder and an archive have in common: named files, listed but not yet read."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Set

from pipelines.sources.source import Problem, Unreadable

MAX_BYTES = 1 << 30  # no image file is larger; one that is would be read into memory whole
TOO_LARGE = f"larger than {MAX_BYTES >> 30} GiB"

# What file managers and archivers leave behind; hidden names (".DS_Store") are passed over too.
_LITTER = {"__macosx", "thumbs.db", "desktop.ini"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tree:
    """The files below one root. A path is relative to it, its parts joined by "/"."""

    name: str  # as errors show it
    sizes: Mapping[str, int]  # path -> bytes, sorted by path; without litter
    folders: Set[str]  # every folder's path, also where it holds no file
    read: Callable[[str], bytes | Unreadable]  # a path's content; from several threads at once
    problems: tuple[Problem, ...] = ()  # what was found in place of a file


def is_litter(name: str) -> bool:
    """Whether a file or folder of this name is passed over in silence."""
    return name.startswith(".") or name.lower() in _LITTER


def as_text(path: str) -> str:
    """`path` as UTF-8 can hold it: file systems and archives know names that are no text."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
