import struct

import pytest

from pipelines.images import exif
from pipelines.images.header import Header, UndecodableError, read_header

MOST = 10**8


@pytest.mark.parametrize("kind", ["jpeg", "png", "bmp"])
def test_format_size_and_channels_are_read_without_decoding(images, kind):
    data = getattr(images, kind)(images.pixels(5, 7))
    assert read_header(data, MOST) == Header(kind.upper(), 7, 5, 3)
    with pytest.raises(UndecodableError, match=f"broken {kind.upper()}"):
        read_header(data[:15], MOST)


def test_grey_and_transparent_images_are_told_by_their_channels(images):
    assert [read_header(images.png(images.pixels(2, 2, n)), MOST).channels for n in (1, 2, 3, 4)] == [1, 2, 3, 4]
    assert read_header(images.jpeg(images.pixels(2, 2, 1)), MOST).channels == 1
    frame, palette = images.pixels(5, 7, 1)[..., 0] % 128, images.pixels(128, 3, 1)[..., 0]
    assert read_header(images.gif([frame], palette), MOST) == Header("GIF", 7, 5, 3)


def test_a_small_file_that_claims_a_billion_pixels_is_refused(images):
    png = bytearray(images.png())
    png[16:24] = struct.pack(">II", 30_000, 30_000)
    jpeg = images.jpeg()
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg = jpeg[:at] + struct.pack(">HH", 30_000, 30_000) + jpeg[at + 4 :]
    for data in (bytes(png), jpeg):
        with pytest.raises(UndecodableError, match="30,000 x 30,000 pixels, more than --max-pixels"):
            read_header(data, MOST)
    assert read_header(images.png(images.pixels(6, 9)), 54)
    with pytest.raises(UndecodableError):
        read_header(images.png(images.pixels(6, 9)), 53)


@pytest.mark.parametrize("data", [b"", b"Hello, I am a text.", b"<svg>", b"RIFF1234WEBPVP8 "])
def test_what_is_no_image_is_said_to_be_none(data):
    with pytest.raises(UndecodableError, match="empty|begins with"):
        read_header(data, MOST)


def test_any_beginning_of_a_file_gives_a_header_or_a_reason(images):
    data = images.jpeg(images.pixels(20, 20), orientation=6)
    for end in range(len(data)):
        try:
            assert read_header(data[:end], MOST) == Header("JPEG", 20, 20, 3, 6)
        except UndecodableError as error:
            assert str(error)  # noqa: PT017  both are right, as long as nothing else is raised


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("value", range(1, 9))
def test_the_orientation_is_found_in_either_byte_order_behind_other_tags(order, value):
    start = {"<": b"II*\0", ">": b"MM\0*"}[order]
    other = struct.pack(order + "HHII", 0x0100, 4, 1, 640)
    tag = struct.pack(order + "HHIHH", 0x0112, 3, 1, value, 0)
    tiff = start + struct.pack(order + "I", 12) + b"fill" + struct.pack(order + "H", 2) + other + tag
    assert exif.orientation(tiff) == value
    assert exif.orientation(tiff[:-13]) == 1, "cut short"


@pytest.mark.parametrize(
    "tiff",
    [
        b"",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"XX*\0\x08\0\0\0",
        struct.pack("<4sIHHHIHH", b"II*\0", 8, 1, 0x112, 3, 1, 9, 0),
    ],
)
def test_an_orientation_that_makes_no_sense_is_upright(tiff):
    assert exif.orientation(tiff) == 1
