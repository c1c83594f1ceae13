"""What every source gives: labelled images, listed but not yet read. Without TensorFlow."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands in the place of an image's bytes when its file can't be read."""

    reason: str  # one line, without the file's name


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """Something found that can't become an example, known without reading any image."""

    id: str  # as the source's `ids` name images; need not be unique
    reason: str  # one line


Raw = Sequence[bytes | np.ndarray | Unreadable] | np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """Labelled images, listed but not yet read; images are numbered from 0 to N-1, their `places`.

    A source lists and reads, and does nothing else: which image belongs to which split, in which order they are
    written and in which form, is decided by those who use it.
    """

    name: str  # as the user wrote it; errors show NAME/ID
    classes: tuple[str, ...]
    ids: Sequence[str]  # [N], unique: the file's path relative to the source, or the place in the source's array
    labels: np.ndarray  # int64 [N], places in `classes`
    splits: dict[str, np.ndarray] | None  # the source's own: name -> int64 places; None where it has none
    read: Callable[[Sequence[int]], Raw]
    """Places -> for each one the file's bytes as they are, or pixels uint8 `[H, W, C]`, C 1 or 3 (or one array of all,
    `[B, H, W, C]`), or `Unreadable`. Called from several threads at once."""
    at_once: int  # how many images one `read` is best asked for: what is in flight is a few times that
    groups: Sequence[str] | None = None  # [N]: images of one group never go to different splits; None: no groups
    likely_groups: tuple[str, Sequence[str]] | None = (
        None  # what looks like groups and is not used: name, and [N] values
    )
    sizes: np.ndarray | None = None  # int64 [N], the images' encoded bytes; None where they aren't known before reading
    problems: tuple[Problem, ...] = ()  # found, but no image of `ids`: found = N + the number of problems
    notes: tuple[str, ...] = ()  # what was found out or left aside, for the user to read

    def where(self, place: int) -> str:
        """The image at `place`, as errors name it."""
        return f"{self.name}/{self.ids[place]}"
