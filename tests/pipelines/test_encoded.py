import numpy as np
import pytest
import tensorflow as tf

from pipelines.encoded import UndecodableError, check, encode


def _decoded(data):
    return tf.io.decode_png(data).numpy()


@pytest.mark.parametrize(("channels", "grey"), [(1, True), (2, True), (3, False), (4, False)])
def test_png_bytes_are_kept_whatever_their_channels(images, channels, grey):
    data = images.png(images.pixels(5, 7, channels))
    image = check(data)
    assert image.data is data and (image.height, image.width, image.grey) == (5, 7, grey)


def test_jpeg_bytes_are_kept_and_grey_ones_known(images):
    for channels in (1, 3):
        data = images.jpeg(images.pixels(16, 24, channels))
        image = check(data)
        assert image.data is data and (image.height, image.width, image.grey) == (16, 24, channels == 1)


def test_bmp_becomes_png_with_the_same_pixels(images):
    pixels = images.pixels(5, 7)
    image = check(images.bmp(pixels))
    assert np.array_equal(_decoded(image.data), pixels) and (image.height, image.width, image.grey) == (5, 7, False)


def test_bmp_with_a_palette_has_the_colours_of_its_palette(images):
    indices, palette = images.pixels(5, 7, 1), images.pixels(256, 3, 1)[..., 0]
    assert np.array_equal(_decoded(check(images.bmp(indices, palette)).data), palette[indices[..., 0]])
    inverted = np.repeat(255 - np.arange(256)[:, None], 3, axis=1)
    image = check(images.bmp(indices, inverted))
    assert image.grey and np.array_equal(_decoded(image.data), 255 - indices)


def test_gif_gives_its_first_frame(images):
    frames = [images.pixels(5, 7, 1)[..., 0] % 128 for _ in range(2)]
    palette = images.pixels(128, 3, 1)[..., 0]
    assert np.array_equal(_decoded(check(images.gif(frames, palette)).data), palette[frames[0]])


def test_pixels_become_png_one_by_one(images):
    batch = np.stack([images.pixels() for _ in range(3)])
    encoded = encode(batch)
    assert all(np.array_equal(_decoded(image.data), pixels) for image, pixels in zip(encoded, batch, strict=True))


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
    check(data)
    for cut in (len(data) // 2, len(data) - 10, 20):
        with pytest.raises(UndecodableError, match=kind.upper()):
            check(data[:cut])


def test_what_is_no_image_is_said_to_be_none(images):
    with pytest.raises(UndecodableError, match="empty"):
        check(b"")
    with pytest.raises(UndecodableError, match="begins with b'Hello"):
        check(b"Hello, I am a text.")
    with pytest.raises(UndecodableError, match="rare kind"):
        data = bytearray(images.bmp(images.pixels(5, 7, 1), np.zeros((256, 3))))
        data[30] = 1  # says: run-length encoded
        check(bytes(data))
