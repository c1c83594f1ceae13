"""One image as a record holds it: JPEG and PNG bytes as they came, everything else as PNG."""

import dataclasses
import re
import struct

import numpy as np
import tensorflow as tf

_KINDS = ((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF8", "GIF"), (b"BM", "BMP"))
_CPU = "/CPU:0"  # the ops exist nowhere else


class UndecodableError(Exception):
    """Bytes that are no image which can be decoded in full; the message says why."""


@dataclasses.dataclass(frozen=True, slots=True)
class Encoded:
    """An encoded image and what was seen when it was decoded."""

    data: bytes  # JPEG or PNG
    height: int
    width: int
    grey: bool


def check(data: bytes) -> Encoded:
    """Decodes an image file in full, and keeps its bytes if they are JPEG or PNG.

    BMP and the first frame of GIF become PNG, which loses nothing: TFDS reads neither. The content decides what a file
    is, not its name. Grey with alpha counts as grey, and 16 bits as 8.

    Raises:
        UndecodableError: No such file, or a broken one.
    """
    kind = next((kind for start, kind in _KINDS if data.startswith(start)), None)
    if kind is None:
        raise UndecodableError("the file is empty" if not data else f"it begins with {data[:8]!r}")
    try:
        with tf.device(_CPU):
            pixels = tf.io.decode_image(data, channels=0, dtype=tf.uint8, expand_animations=False)
            if kind in ("JPEG", "PNG"):
                height, width, channels = pixels.shape
                return Encoded(data, height, width, channels <= 2)
    except tf.errors.OpError as error:
        reason = re.sub(r"\{\{.*?\}\} |\[Op:.*", "", error.message)
        raise UndecodableError(f"broken {kind}: {' '.join(reason.split())}") from None
    pixels = pixels.numpy()
    return encode((_bmp_colours(data, pixels) if kind == "BMP" else pixels)[np.newaxis])[0]


def encode(pixels: np.ndarray) -> list[Encoded]:
    """A batch of images, uint8 `[B, H, W, C]`, C 1 or 3, as PNG."""
    with tf.device(_CPU):
        encoded = tf.io.encode_png(pixels).numpy()
    _, height, width, channels = pixels.shape
    return [Encoded(data, height, width, channels == 1) for data in encoded]


def _bmp_colours(data: bytes, pixels: np.ndarray) -> np.ndarray:
    """BMP pixels `[H, W, 1 | 3]`: TensorFlow passes over palettes, compression and unusual channel orders.

    https://learn.microsoft.com/en-us/windows/win32/api/wingdi/ns-wingdi-bitmapinfoheader
    """
    header, bits, compression, colours = struct.unpack_from("<14xI10xHI12xI", data)
    masks = struct.unpack_from("<3I", data, 54) if compression == 3 else ()
    if header < 40 or compression not in (0, 3) or masks not in ((), (0xFF0000, 0xFF00, 0xFF)):
        raise UndecodableError(f"BMP of a rare kind (header {header}, {bits} bits, compression {compression})")
    if bits != 8:
        return pixels[..., :3]
    entries = np.frombuffer(data, np.uint8, count=4 * (colours or 256), offset=14 + header).reshape(-1, 4)
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(entries)] = entries[:256, 2::-1]  # blue, green, red, unused
    grey = bool((entries[:, :1] == entries[:, :3]).all())
    return palette[pixels[..., 0]][..., : 1 if grey else 3]
