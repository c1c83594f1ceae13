"""What one core does for the images it is given: read, check, encode, observe, serialize."""

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from pipelines.encoded import Encoded, encode_file, encode_pixels
from pipelines.form import Form
from pipelines.header import Header, UndecodableError, read_header
from pipelines.health.moments import channel_moments
from pipelines.health.observation import Observation
from pipelines.health.perceptual import perceptual_hash, tiny_picture
from pipelines.records import serialize
from pipelines.sources.source import Source, Unreadable

_CPU = "/CPU:0"  # the ops exist nowhere else


@dataclasses.dataclass(frozen=True, slots=True)
class Prepared:
    """An image ready to be written."""

    record: bytes
    height: int  # as shown
    width: int
    grey: bool
    observation: Observation


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preparer:
    """Turns places of a source into records. Several threads may use it at once: decoding frees the interpreter."""

    source: Source
    form: Form
    checked: bool  # whether files kept as they are must decode, and pictures are hashed
    max_pixels: int
    sampled: frozenset[int]  # places whose pixels are summed up in full

    def __call__(self, split: str, places: Sequence[int]) -> list[Prepared | Unreadable]:
        """Reads and prepares the images at `places`, all of `split`; `Unreadable` stands for a bad one."""
        raw = self.source.read(places)
        with tf.device(_CPU):
            return [self._prepare(split, place, image) for place, image in zip(places, raw, strict=True)]

    def _prepare(self, split: str, place: int, image: bytes | np.ndarray | Unreadable) -> Prepared | Unreadable:
        if isinstance(image, Unreadable):
            return image
        in_full = place in self.sampled
        try:
            if isinstance(image, np.ndarray):
                height, width, channels = image.shape
                header = Header("array", width, height, channels)
                encoded = encode_pixels(image, self.form, checked=self.checked, in_full=in_full)
            else:
                header = read_header(image, self.max_pixels)
                encoded = encode_file(image, header, self.form, checked=self.checked, in_full=in_full)
        except UndecodableError as error:
            return Unreadable(str(error))
        kept = self.form.encoding == "keep"
        record = serialize(
            encoded.data,
            int(self.source.labels[place]),
            self.source.ids[place],
            encoded.orientation if kept else None,
        )
        seen = self._observe(split, place, image, header, encoded)
        return Prepared(record, encoded.height, encoded.width, encoded.grey, seen)

    def _observe(
        self, split: str, place: int, image: bytes | np.ndarray, header: Header, encoded: Encoded
    ) -> Observation:
        content = image if isinstance(image, bytes) else np.ascontiguousarray(image)
        return Observation(
            place=place,
            split=split,
            label=int(self.source.labels[place]),
            id=self.source.ids[place],
            group=None if self.source.groups is None else self.source.groups[place],
            bytes=len(image) if isinstance(image, bytes) else image.nbytes,
            sha256=hashlib.sha256(content).hexdigest(),
            width=header.width,
            height=header.height,
            channels=header.channels,
            format=header.format,
            orientation=header.orientation,
            phash=None if encoded.small is None else perceptual_hash(encoded.small),
            tiny=None if encoded.small is None else tiny_picture(encoded.small),
            moments=None if encoded.pixels is None else channel_moments(encoded.pixels),
        )
