"""What one core does for the images it is given: read, check, encode, observe, serialize."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import tensorflow as tf

from pipelines.health.moments import channel_moments
from pipelines.health.observation import Moments, Observation
from pipelines.health.perceptual import perceptual_hash, tiny_picture
from pipelines.images import exif
from pipelines.images.encoded import Encoded, encode_file, encode_pixels
from pipelines.images.form import Form
from pipelines.images.header import Header, UndecodableError, read_header
from pipelines.records import serialize
from pipelines.sources.source import Source, Unreadable

Seen = TypeVar("Seen")
_CPU = "/CPU:0"  # the ops exist nowhere else


class Prepared(NamedTuple):
    """An image ready to be written."""

    record: bytes
    label: int
    height: int  # as shown
    width: int
    grey: bool
    oriented: bool  # whether it came with an EXIF orientation other than upright
    observed: str  # its `Observation`, a line of JSON


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preparer:
    """Turns places of a source into records. Several threads may use it at once."""

    source: Source
    form: Form
    checked: bool  # whether files kept as they are must decode, and files and pictures are hashed
    max_pixels: int
    sampled: frozenset[int]  # places whose pixels are summed up in full

    def __call__(self, split: str, places: Sequence[int]) -> list[Prepared | Unreadable]:
        """Reads and prepares the images at `places`, all of `split`; `Unreadable` stands for a bad one.

        One step after the other for all of them: image by image each step would find its code and tables pushed out of
        the processor's caches by the decoder (620 us an image of 46 KB to 770, all steps together).
        """
        raw = self.source.read(places)
        with tf.device(_CPU):
            looks = [self._look(place, image) for place, image in zip(places, raw, strict=True)]
        good = [at for at, look in enumerate(looks) if not isinstance(look, Unreadable)]
        digests = [_sha256(raw[at]) if self.checked else None for at in good]
        hashes = [_of_small(perceptual_hash, looks[at]) for at in good]
        tinies = [_of_small(tiny_picture, looks[at]) for at in good]
        records = [self._record(places[at], looks[at]) for at in good]
        prepared: list[Prepared | Unreadable] = list(looks)
        for at, record, digest, phash, tiny in zip(good, records, digests, hashes, tinies, strict=True):
            look, label = looks[at], int(self.source.labels[places[at]])
            seen = json.dumps(self._observation(split, places[at], look, digest, phash, tiny).to_json())
            image, oriented = look.encoded, look.header.orientation != exif.UPRIGHT
            prepared[at] = Prepared(record, label, image.height, image.width, image.grey, oriented, seen)
        return prepared

    def _look(self, place: int, image: bytes | np.ndarray | Unreadable) -> "_Look | Unreadable":
        if isinstance(image, Unreadable):
            return image
        in_full = place in self.sampled
        try:
            if isinstance(image, np.ndarray):
                size, (height, width, channels) = image.nbytes, image.shape
                header = Header("array", width, height, channels)
                encoded = encode_pixels(image, self.form, checked=self.checked, in_full=in_full)
            else:
                size, header = len(image), read_header(image, self.max_pixels)
                encoded = encode_file(image, header, self.form, checked=self.checked, in_full=in_full)
        except UndecodableError as error:
            return Unreadable(str(error))
        if encoded.pixels is None:
            return _Look(size, header, encoded, None)
        # summed up at once: no two images are in memory in full
        return _Look(size, header, dataclasses.replace(encoded, pixels=None), channel_moments(encoded.pixels))

    def _record(self, place: int, look: "_Look") -> bytes:
        orientation = look.encoded.orientation if self.form.encoding == "keep" else None
        return serialize(look.encoded.data, int(self.source.labels[place]), self.source.ids[place], orientation)

    def _observation(
        self, split: str, place: int, look: "_Look", sha256: str | None, phash: int | None, tiny: bytes | None
    ) -> Observation:
        return Observation(
            place=place,
            split=split,
            label=int(self.source.labels[place]),
            id=self.source.ids[place],
            group=None if self.source.groups is None else self.source.groups[place],
            bytes=look.bytes,
            sha256=sha256,
            width=look.header.width,
            height=look.header.height,
            channels=look.header.channels,
            format=look.header.format,
            orientation=look.header.orientation,
            phash=phash,
            tiny=tiny,
            moments=look.moments,
        )


@dataclasses.dataclass(frozen=True, slots=True)
class _Look:
    """What decoding has shown."""

    bytes: int
    header: Header
    encoded: Encoded
    moments: Moments | None


def _sha256(image: bytes | np.ndarray) -> str:
    return hashlib.sha256(image if isinstance(image, bytes) else np.ascontiguousarray(image)).hexdigest()


def _of_small(function: Callable[[np.ndarray], Seen], look: _Look) -> Seen | None:
    return None if look.encoded.small is None else function(look.encoded.small)
