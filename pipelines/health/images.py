"""The source's images once more, for the few that the report compares or shows. Without TensorFlow."""

import hashlib
import io
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

from base.page import data_uri
from pipelines.sources.source import Source

T = TypeVar("T")
THUMBNAIL = 144  # pixels of the longer side, shown at half of that or more: sharp on dense screens
_SMALL = 64  # up to here a PNG is not much larger than a JPEG, and shows the pixels as they are


def pixel_digests(source: Source, places: Sequence[int]) -> dict[int, str]:
    """Place -> a digest of its pixels, upright: equal for equal pixels, however they are encoded."""
    return _of_each(source, places, _digest)


def thumbnails(source: Source, places: Sequence[int]) -> dict[int, str]:
    """Place -> the image, upright and small, as a data URI."""
    return _of_each(source, places, _thumbnail)


def _of_each(source: Source, places: Sequence[int], function: Callable[[Image.Image], T]) -> dict[int, T]:
    """Place -> `function` of its image. One that Pillow can't read, or that has gone in the meantime, is left out."""

    def chunk(members: np.ndarray) -> Mapping[int, T]:
        found = {}
        for place, raw in zip(members.tolist(), source.read(members), strict=True):
            try:
                found[place] = function(_open(raw))
            except (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError):
                continue  # these are what Pillow raises; an image less in a report does no harm
        return found

    found: dict[int, T] = {}
    # no more threads than decoding needs: what is in flight is a few times `at_once` images, and results are small
    with ThreadPoolExecutor(4) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of large images, of odd EXIF: they were converted
        for part in pool.map(chunk, _chunks(source, np.unique(np.asarray(places, np.int64)))):
            found |= part
    return found


def _chunks(source: Source, places: np.ndarray) -> Iterator[np.ndarray]:
    """`places` as `source.read` takes them: of one split at a time, so many at once."""
    splits = [places] if source.splits is None else [np.intersect1d(places, of) for of in source.splits.values()]
    for members in splits:
        yield from np.split(members, range(source.at_once, len(members), source.at_once)) if len(members) else ()


def _open(raw: object) -> Image.Image:
    if isinstance(raw, np.ndarray):
        return Image.fromarray(raw[..., 0] if raw.shape[-1] == 1 else raw)
    if not isinstance(raw, bytes):
        raise ValueError("not readable")
    return Image.open(io.BytesIO(raw))


def _digest(image: Image.Image) -> str:
    upright = ImageOps.exif_transpose(image)
    if not upright.mode.startswith("I"):  # 16 bits stay 16 bits; palettes, grey and colour are compared as colours
        upright = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    return hashlib.sha256(repr((upright.mode, upright.size)).encode() + upright.tobytes()).hexdigest()


def _thumbnail(image: Image.Image) -> str:
    image.draft("RGB", (2 * THUMBNAIL, 2 * THUMBNAIL))  # a JPEG is decoded at a fraction of its size
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):
        upright = Image.fromarray((np.asarray(upright).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    upright = upright.convert("RGB")
    upright.thumbnail((THUMBNAIL, THUMBNAIL))
    content = io.BytesIO()
    kind = "PNG" if max(upright.size) <= _SMALL else "JPEG"
    upright.save(content, kind, quality=75)
    return data_uri(content.getvalue(), f"image/{kind.lower()}")
