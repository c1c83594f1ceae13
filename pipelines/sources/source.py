"""What every source gives: labelled images, listed but not yet read. Without TensorFlow."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

Raw = Sequence[bytes] | np.ndarray


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
    """Places, all of one of the source's splits -> the files' bytes as they are, or pixels uint8 `[B, H, W, C]`, C 1 or
    3. Called from several threads at once. Raises `InputError`, naming the file, when one can't be read."""
    at_once: int  # how many images one `read` is best asked for: what is in flight is a few times that
    notes: tuple[str, ...] = ()  # what was found out or left aside, for the user to read

    def where(self, place: int) -> str:
        """The image at `place`, as errors name it."""
        return f"{self.name}/{self.ids[place]}"
