"""The form in which images are stored: encoding, size, channels. Without TensorFlow."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Literal

from base.errors import input_error

Encoding = Literal["keep", "jpeg", "png", "raw"]


@dataclasses.dataclass(frozen=True)
class Resize:
    """How large a stored image is. `short` and `long` name a side, shrink images, and never enlarge them."""

    kind: Literal["short", "long", "exact"]
    height: int  # of `short` and `long`: the length of that side
    width: int

    def target(self, height: int, width: int) -> tuple[int, int]:
        """The (height, width) that an image of `height` x `width` pixels gets.

        Example:
            >>> parse_resize("short=256").target(375, 500)
            (256, 341)
        """
        if self.kind == "exact":
            return self.height, self.width
        side = min(height, width) if self.kind == "short" else max(height, width)
        if side <= self.height:
            return height, width

        def scaled(length: int) -> int:  # rounded, in integers: the same on every machine
            return max(1, (2 * length * self.height + side) // (2 * side))

        return scaled(height), scaled(width)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Form:
    """What all records of a dataset have in common."""

    encoding: Encoding
    resize: Resize | None = None
    quality: int = 95  # of JPEG
    channels: int | None = None  # None: each image keeps its own, 1 or 3


def form_of(stored_as: Mapping[str, Any] | None) -> Form:
    """The form of a data set's records, for images that are to look as these do.

    Args:
        stored_as: `Manifest.stored_as`; None: nothing is known, files are kept as they are.

    Returns:
        With `png`, which loses nothing, in the place of `raw`.

    Raises:
        InputError: Not of this form.
    """
    if stored_as is None or stored_as.get("encoding") == "keep":
        return Form(encoding="keep")
    try:
        return Form(
            encoding={"raw": "png", "png": "png", "jpeg": "jpeg"}[stored_as["encoding"]],
            resize=parse_resize(stored_as["resize"]) if stored_as["resize"] else None,
            quality=stored_as["quality"] or Form.quality,
            channels=stored_as["channels"],
        )
    except (KeyError, TypeError) as error:
        raise input_error("Expected a form of images", stored_as=dict(stored_as), error=repr(error)) from None


def parse_resize(text: str) -> Resize:
    """What `--resize` says.

    Args:
        text: `short=N`, `long=N`, or `exact=HEIGHTxWIDTH`, 1 to 16,384 pixels.

    Raises:
        InputError: Anything else.
    """
    match = re.fullmatch(r"(?:(short|long)=(\d{1,5})|(exact)=(\d{1,5})x(\d{1,5}))", text)
    sides = [int(side) for side in match.groups() if side and side.isdigit()] if match else []
    if not sides or not all(1 <= side <= 16384 for side in sides):
        expected = "Expected --resize short=N, long=N or exact=HEIGHTxWIDTH, 1 to 16384 pixels"
        raise input_error(expected, resize=text, do="For instance --resize short=256.")
    return Resize(match[1] or match[3], sides[0], sides[-1])
