"""What an image file says of itself before anything is decoded. Pure, and without TensorFlow.

A file of a few bytes may claim a billion pixels: its header is read first, and the claim weighed.
"""

import dataclasses
import struct

from pipelines.images import exif

_KINDS = ((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF8", "GIF"), (b"BM", "BMP"))
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by colour type; a palette holds colours
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0-15, without DHT, JPG, DAC
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a segment


class UndecodableError(Exception):
    """Bytes that are no image which can be used; the message says why, in one line."""


@dataclasses.dataclass(frozen=True, slots=True)
class Header:
    """An image as it is stored: not yet turned upright."""

    format: str  # "JPEG", "PNG", "GIF", "BMP", by content
    width: int
    height: int
    channels: int  # 1 to 4
    orientation: int = exif.UPRIGHT  # EXIF's, 1 to 8


def image_kind(start: bytes) -> str | None:
    """What a file's first bytes, 8 at least, claim it to be: "JPEG", "PNG", "GIF", "BMP", or None for no image."""
    return next((kind for magic, kind in _KINDS if start.startswith(magic)), None)


def read_header(data: bytes, max_pixels: int) -> Header:
    """Reads format, size, channels and orientation off the first bytes of a file.

    Args:
        data: A whole file, or enough of its beginning.
        max_pixels: How many pixels an image may have.

    Raises:
        UndecodableError: No JPEG, PNG, GIF or BMP; a header cut short; no pixels, or too many.
    """
    kind = image_kind(data)
    if kind is None:
        raise UndecodableError("the file is empty" if not data else f"no image: it begins with {data[:8]!r}")
    try:
        header = {"JPEG": _jpeg, "PNG": _png, "GIF": _gif, "BMP": _bmp}[kind](data)
    except (struct.error, IndexError):
        raise UndecodableError(f"broken {kind}: it ends within its header") from None
    pixels = header.width * header.height
    if pixels == 0:
        raise UndecodableError(f"broken {kind}: {header.width} x {header.height} pixels")
    if pixels > max_pixels:
        size = f"{header.width:,} x {header.height:,}"
        raise UndecodableError(f"{kind} of {size} pixels, more than --max-pixels {max_pixels}: not decoded")
    return header


def _jpeg(data: bytes) -> Header:
    """ITU-T T.81, B.1 and B.2: markers, most with a segment whose length comes first; SOF holds the size."""
    orientation, place = None, 2
    while True:
        if data[place] != 0xFF:
            raise UndecodableError("broken JPEG: no marker where one must be")
        marker = data[place + 1]
        if marker == 0xFF:  # fill byte
            place += 1
            continue
        place += 2
        if marker in _ALONE:
            continue
        (length,) = struct.unpack_from(">H", data, place)
        if marker in _FRAMES:
            height, width, channels = struct.unpack_from(">xHHB", data, place + 2)
            return Header("JPEG", width, height, channels, orientation or exif.UPRIGHT)
        if marker in (0xD9, 0xDA) or length < 2:
            raise UndecodableError("broken JPEG: no size before its pixels")
        if marker == 0xE1 and orientation is None and data[place + 2 : place + 8] == b"Exif\0\0":
            orientation = exif.orientation(data[place + 8 : place + length])
        place += length


def _png(data: bytes) -> Header:
    """https://www.w3.org/TR/png-3/#11IHDR: the first chunk. Its rare EXIF chunk is left aside."""
    width, height, colour = struct.unpack_from(">II1xB", data, 16)
    if data[12:16] != b"IHDR" or colour not in _PNG_CHANNELS:
        raise UndecodableError("broken PNG: no proper header")
    return Header("PNG", width, height, _PNG_CHANNELS[colour])


def _gif(data: bytes) -> Header:
    width, height = struct.unpack_from("<HH", data, 6)
    return Header("GIF", width, height, 3)


def _bmp(data: bytes) -> Header:
    (size,) = struct.unpack_from("<I", data, 14)
    if size < 40:  # OS/2's: 16 bits a side
        width, height, bits = struct.unpack_from("<HH2xH", data, 18)
    else:
        width, height, bits = struct.unpack_from("<ii2xH", data, 18)
    return Header("BMP", abs(width), abs(height), 4 if bits == 32 else 3)  # rows from the top: a negative height
