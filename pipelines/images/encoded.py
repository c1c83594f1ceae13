"""One image as a record holds it: the bytes as they came, or pixels turned, scaled and encoded anew."""

import contextlib
import dataclasses
import io
import struct
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from pipelines.images import exif
from pipelines.images.form import Form, Resize
from pipelines.images.header import Header, UndecodableError
from pipelines.native_errors import reason_of

_GREY_WEIGHTS = np.array([299, 587, 114], np.uint32)  # thousandths of red, green, blue: ITU-R BT.601, as JPEG has it
_END_OF_JPEG = b"\xff\xd9"
_HASHED_SIDE = 32  # a small picture keeps that many pixels a side


@dataclasses.dataclass(frozen=True, slots=True)
class Encoded:
    """An encoded image, and what was seen on the way."""

    data: bytes  # JPEG or PNG, or the pixels themselves: uint8 `[height, width, C]`, row by row
    height: int  # as shown, the orientation applied
    width: int
    grey: bool
    orientation: int = exif.UPRIGHT  # what is left to be applied by those who decode `data`
    small: np.ndarray | None = None  # uint8 [h, w]: the picture, grey and scaled down, upright
    pixels: np.ndarray | None = None  # uint8 [H, W, C]: all of it, as the source has it


def encode_file(data: bytes, header: Header, form: Form, *, checked: bool, in_full: bool) -> Encoded:
    """Brings an image file into a form.

    With `keep`, JPEG and PNG bytes stay as they are. What TensorFlow or TFDS can't decode to both grey and colour
    becomes PNG, which loses nothing: BMP, GIF (its first frame) and CMYK JPEGs. Sixteen bits become eight, and
    transparency is dropped, when pixels are written, or else when they are decoded.

    Args:
        data: The file.
        header: What `read_header` read.
        form: What to make of it.
        checked: Whether kept bytes must decode, and `small` is wanted.
        in_full: Whether `pixels` are wanted.

    Raises:
        UndecodableError: A broken file.
    """
    with _saying_why(f"broken {header.format}"):
        if form.encoding == "keep" and (header.format == "PNG" or _plain_jpeg(header)):
            pixels, small = _look(data, header, checked, in_full)
            height, width = _turned(header.height, header.width, header.orientation)
            return Encoded(data, height, width, header.channels <= 2, header.orientation, small, pixels)
        pixels = _decode(data, header, form.channels)
        return _write(pixels, form, header.orientation, checked=checked, in_full=in_full)


def encode_pixels(pixels: np.ndarray, form: Form, *, checked: bool, in_full: bool) -> Encoded:
    """Brings pixels, uint8 `[H, W, C]`, C 1 or 3, into a form as `encode_file` does; `keep` makes them PNG."""
    pixels = pixels if form.channels is None or form.encoding == "keep" else to_channels(pixels, form.channels)
    with _saying_why("pixels that can't be encoded"):
        return _write(pixels, form, exif.UPRIGHT, checked=checked, in_full=in_full)


def to_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Pixels, uint8 `[H, W, 1 | 3]`, with as many channels as wanted."""
    if pixels.shape[-1] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=-1)
    return ((pixels @ _GREY_WEIGHTS + 500) // 1000).astype(np.uint8)[..., np.newaxis]


def turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels `[H, W, C]` as EXIF orientation 1 to 8 wants them shown."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


@contextlib.contextmanager
def _saying_why(what: str) -> Iterator[None]:
    try:
        yield
    except tf.errors.OpError as error:
        raise UndecodableError(f"{what}: {reason_of(error)}") from None


def _plain_jpeg(header: Header) -> bool:
    return header.format == "JPEG" and header.channels in (1, 3)


def _look(data: bytes, header: Header, checked: bool, in_full: bool) -> tuple[np.ndarray | None, np.ndarray | None]:
    """All pixels where they are wanted, and a small picture where the file is to be checked."""
    if not checked:
        return None, None
    if header.format == "JPEG" and not in_full:
        return None, turn(_small_jpeg(data, header)[..., np.newaxis], header.orientation)[..., 0]
    pixels = _decode(data, header, None)
    return pixels if in_full else None, turn(_small(pixels)[..., np.newaxis], header.orientation)[..., 0]


def _small_jpeg(data: bytes, header: Header) -> np.ndarray:
    """A JPEG decoded to grey at 1/8 scale: that reads its whole stream, at two thirds of the cost of all pixels.

    Pillow does it with less overhead than an eager operation (513 to 586 us for 46 KB), and agrees with TensorFlow on
    which files are broken but for those that lack their end: these, and what Pillow refuses, TensorFlow judges.
    """
    ratio = _small_ratio(header.height, header.width)
    if data.endswith(_END_OF_JPEG):
        with contextlib.suppress(OSError, SyntaxError, ValueError):
            image = JpegImageFile(io.BytesIO(data))
            image.draft("L", (header.width // ratio, header.height // ratio))
            return np.asarray(image)
    return tf.io.decode_jpeg(data, channels=1, ratio=ratio).numpy()[..., 0]


def _write(pixels: np.ndarray, form: Form, orientation: int, *, checked: bool, in_full: bool) -> Encoded:
    shown = pixels if form.resize is None else _scaled(pixels, form.resize, orientation)
    shown = np.ascontiguousarray(turn(shown, orientation))
    small = _small(shown) if checked else None
    height, width, channels = shown.shape
    if form.encoding == "raw":
        data = shown.tobytes()
    elif form.encoding == "jpeg":
        data = tf.io.encode_jpeg(shown, quality=form.quality).numpy()
    else:
        data = tf.io.encode_png(shown).numpy()
    return Encoded(data, height, width, channels == 1, exif.UPRIGHT, small, pixels if in_full else None)


def _scaled(pixels: np.ndarray, resize: Resize, orientation: int) -> np.ndarray:
    height, width, channels = pixels.shape
    target = _turned(*resize.target(*_turned(height, width, orientation)), orientation)
    if target == (height, width):
        return pixels
    # Pillow's bilinear filter is antialiased as tf.image.resize(antialias=True) is, and takes half of its time.
    return np.asarray(_image(pixels).resize(target[::-1], Image.Resampling.BILINEAR)).reshape(*target, channels)


def _turned(height: int, width: int, orientation: int) -> tuple[int, int]:
    return (width, height) if orientation >= 5 else (height, width)


def _decode(data: bytes, header: Header, channels: int | None) -> np.ndarray:
    """All pixels, uint8 `[H, W, C]`; C is `channels`, or the image's own, 1 or 3."""
    own = 1 if header.channels <= 2 else 3
    if _plain_jpeg(header):
        return tf.io.decode_jpeg(data, channels=channels or own).numpy()
    if header.format == "PNG":
        return tf.io.decode_png(data, channels=channels or own).numpy()
    if header.format == "JPEG":  # CMYK: TensorFlow makes colours of it, but no grey
        pixels = tf.io.decode_jpeg(data, channels=3).numpy()
    else:
        pixels = tf.io.decode_image(data, channels=0, dtype=tf.uint8, expand_animations=False).numpy()
        pixels = _bmp_colours(data, pixels) if header.format == "BMP" else pixels
    return pixels if channels is None else to_channels(pixels, channels)


def _small_ratio(height: int, width: int) -> int:
    return next((ratio for ratio in (8, 4, 2) if min(height, width) >= ratio * _HASHED_SIDE), 1)


def _small(pixels: np.ndarray) -> np.ndarray:
    """`pixels`, each square of 8 x 8, 4 x 4 or 2 x 2 brought to its mean, and grey: like JPEG's decode at 1/8 scale."""
    return np.asarray(_image(pixels).reduce(_small_ratio(*pixels.shape[:2])).convert("L"))


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels if pixels.shape[-1] == 3 else pixels[..., 0])


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
