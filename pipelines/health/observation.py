"""What a conversion keeps of each image for the health report. Without TensorFlow."""

import base64
import dataclasses
from typing import Any

Moments = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


@dataclasses.dataclass(frozen=True, slots=True)
class Observation:
    """One converted image, as its file was found: kept bytes and rewritten pixels are observed alike."""

    place: int  # in the source
    split: str
    label: int  # place in the source's classes
    id: str
    group: str | None
    bytes: int  # of the file as found; of the pixels where the source has arrays
    sha256: str | None  # hex, of these bytes; None where it was not asked for
    width: int  # in pixels, as stored: an orientation from 5 to 8 turns it by 90 degrees
    height: int
    channels: int  # as stored: 1 to 4
    format: str  # "JPEG", "PNG", "GIF", "BMP", "array"
    orientation: int  # of EXIF, 1 (upright) to 8
    phash: int | None  # 64 bits, as `perceptual_hash` gives it; None where it was not asked for
    tiny: bytes | None = None  # 256, as `tiny_picture` gives them: without them the image has no near duplicates
    moments: Moments | None = None  # as `channel_moments` gives them, for the images that `sample_places` chooses

    @property
    def upright(self) -> tuple[int, int]:
        """(width, height) in pixels as the image is shown, its EXIF orientation applied."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)

    def to_json(self) -> list[Any]:
        """The fields' values in their order, as JSON holds them: short, since a journal holds one an image."""
        values = [getattr(self, name) for name in _NAMES]
        values[_TINY] = None if self.tiny is None else base64.b64encode(self.tiny).decode()
        return values

    @classmethod
    def from_json(cls, values: list[Any]) -> "Observation":
        """What `to_json` gave, also after its tuples have become lists."""
        values = list(values)
        values[_TINY] = None if values[_TINY] is None else base64.b64decode(values[_TINY])
        values[_MOMENTS] = None if values[_MOMENTS] is None else tuple(map(tuple, values[_MOMENTS]))
        return cls(*values)


_NAMES = [field.name for field in dataclasses.fields(Observation)]
_TINY, _MOMENTS = _NAMES.index("tiny"), _NAMES.index("moments")
