import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipelines.images import encoded
from pipelines.images.encoded import encode_file, encode_pixels
from pipelines.images.form import Form, parse_resize
from pipelines.images.header import UndecodableError, read_header

KEEP = Form(encoding="keep")
WAVE = np.add.outer(np.sin(np.arange(300) / 17), np.cos(np.arange(400) / 23))  # a picture that JPEG hardly changes


def _encode(data, form=KEEP, **wanted):
    return encode_file(data, read_header(data, 10**8), form, **{"checked": True, "in_full": False, **wanted})


def _decoded(data):
    return tf.io.decode_png(data).numpy()


@pytest.mark.parametrize(("channels", "grey"), [(1, True), (2, True), (3, False), (4, False)])
def test_png_bytes_are_kept_whatever_their_channels(images, channels, grey):
    data = images.png(images.pixels(5, 7, channels))
    image = _encode(data)
    assert image.data is data and (image.height, image.width, image.grey) == (5, 7, grey)


def test_jpeg_bytes_are_kept_and_grey_ones_known(images):
    for channels in (1, 3):
        data = images.jpeg(images.pixels(16, 24, channels))
        image = _encode(data)
        assert image.data is data and (image.height, image.width, image.grey) == (16, 24, channels == 1)


def test_bmp_becomes_png_with_the_same_pixels(images):
    pixels = images.pixels(5, 7)
    image = _encode(images.bmp(pixels))
    assert np.array_equal(_decoded(image.data), pixels) and (image.height, image.width, image.grey) == (5, 7, False)


def test_bmp_with_a_palette_has_the_colours_of_its_palette(images):
    indices, palette = images.pixels(5, 7, 1), images.pixels(256, 3, 1)[..., 0]
    assert np.array_equal(_decoded(_encode(images.bmp(indices, palette)).data), palette[indices[..., 0]])
    inverted = np.repeat(255 - np.arange(256)[:, None], 3, axis=1)
    image = _encode(images.bmp(indices, inverted))
    assert image.grey and np.array_equal(_decoded(image.data), 255 - indices)


def test_gif_gives_its_first_frame(images):
    frames = [images.pixels(5, 7, 1)[..., 0] % 128 for _ in range(2)]
    palette = images.pixels(128, 3, 1)[..., 0]
    assert np.array_equal(_decoded(_encode(images.gif(frames, palette)).data), palette[frames[0]])


def test_a_cmyk_jpeg_becomes_a_png_that_decodes_to_colour_and_grey(tmp_path):
    Image.new("CMYK", (20, 10), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=100)
    image = _encode((tmp_path / "red.jpg").read_bytes())
    red, green, blue = _decoded(image.data)[5, 5].tolist()
    assert red > 240 and green < 15 and blue < 15 and not image.grey
    grey = _encode((tmp_path / "red.jpg").read_bytes(), Form(encoding="png", channels=1))
    assert grey.grey and abs(int(_decoded(grey.data)[5, 5, 0]) - 76) < 5


@pytest.mark.parametrize("mode", ["P", "LA", "RGBA", "I;16", "1"])
def test_palettes_alpha_and_sixteen_bits_become_the_channels_that_are_asked_for(tmp_path, mode):
    Image.fromarray(np.full((8, 8), 255, np.uint8)).convert(mode).save(tmp_path / "white.png")
    data = (tmp_path / "white.png").read_bytes()
    for channels in (1, 3):
        pixels = _decoded(_encode(data, Form(encoding="png", channels=channels)).data)
        # Pillow stores 255 of 65535 in sixteen bits: black
        assert pixels.shape == (8, 8, channels) and (pixels == (0 if mode == "I;16" else 255)).all()


def test_pixels_are_written_in_every_encoding(images):
    pixels = images.pixels(10, 12)
    for encoding in ("keep", "png"):
        assert np.array_equal(
            _decoded(encode_pixels(pixels, Form(encoding=encoding), checked=False, in_full=False).data), pixels
        )
    raw = Form(encoding="raw", resize=parse_resize("exact=10x12"), channels=3)
    assert encode_pixels(pixels, raw, checked=False, in_full=False).data == pixels.tobytes()
    smooth = np.uint8(WAVE * 50 + 128)[..., None].repeat(3, -1)
    sizes = [
        len(encode_pixels(smooth, Form(encoding="jpeg", quality=quality), checked=False, in_full=False).data)
        for quality in (30, 95)
    ]
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_orientation_is_applied_to_written_pixels_and_noted_with_kept_ones(images, orientation):
    stored = np.zeros((40, 60, 3), np.uint8)
    stored[:20, :30] = 255  # top left
    data = images.jpeg(stored, orientation)
    kept = _encode(data)
    assert kept.data is data and kept.orientation == orientation
    png = _encode(data, Form(encoding="png"))
    shown = _decoded(png.data)
    assert (
        (kept.height, kept.width)
        == (png.height, png.width)
        == shown.shape[:2]
        == ((40, 60) if orientation < 5 else (60, 40))
    )
    corner = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}[orientation]
    halves = shown.reshape(2, shown.shape[0] // 2, 2, shown.shape[1] // 2, 3).mean((1, 3, 4)) > 128
    assert np.argwhere(halves).tolist() == [list(corner)]
    small = _encode(data, Form(encoding="raw", resize=parse_resize("exact=6x4")))
    assert np.frombuffer(small.data, np.uint8).size == 72 and (small.height, small.width) == (6, 4)
    assert np.abs(kept.small.astype(int) - png.small).max() <= 20, "the same picture, upright"


def test_the_small_picture_is_the_same_from_a_jpeg_at_one_eighth_as_from_its_pixels(images, monkeypatch):
    data = images.jpeg(np.uint8(WAVE * 50 + 128)[..., None].repeat(3, -1))
    small, full = _encode(data), _encode(data, in_full=True)
    assert small.small.shape == full.small.shape == (38, 50) and small.pixels is None
    assert np.abs(small.small.astype(int) - full.small).max() <= 2 and full.pixels.shape == (300, 400, 3)
    monkeypatch.setattr(encoded, "_END_OF_JPEG", b"never")  # by TensorFlow
    assert np.abs(small.small.astype(int) - _encode(data).small).max() <= 2


@pytest.mark.parametrize("kind", ["png", "jpeg", "bmp", "gif"])
def test_a_file_that_was_cut_short_is_no_image(images, kind):
    pixels = images.pixels(40, 50)
    made = {
        "png": lambda: images.png(pixels),
        "jpeg": lambda: images.jpeg(pixels),
        "bmp": lambda: images.bmp(pixels),
        "gif": lambda: images.gif([pixels[..., 0] % 128], pixels[:, :, 0][:, :3].repeat(4, axis=0)[:128]),
    }
    data = made[kind]()
    _encode(data)
    for form in (KEEP, Form(encoding="png")):
        for cut in (len(data) // 2, len(data) - 10, len(data) - 2, 20):
            if kind == "gif" and cut == len(data) - 2:
                continue  # its last two bytes end the frame and the file: nothing is lost
            with pytest.raises(UndecodableError, match=kind.upper()):
                _encode(data[:cut], form)


def test_a_bmp_of_a_rare_kind_is_refused_with_its_kind(images):
    data = bytearray(images.bmp(images.pixels(5, 7, 1), np.zeros((256, 3))))
    data[30] = 1  # says: run-length encoded
    with pytest.raises(UndecodableError, match="rare kind"):
        _encode(bytes(data))
