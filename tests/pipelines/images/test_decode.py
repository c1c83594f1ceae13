import numpy as np
import tensorflow as tf

from pipelines.images.decode import decode, fit
from pipelines.images.input_options import InputOptions, InputSpec, resolve

# A picture 4 high and 8 wide: left half black, right half white.
HALVES = np.repeat([[0] * 4 + [255] * 4], 4, axis=0).astype(np.uint8)[:, :, None]


def test_stretch_shows_the_whole_picture():
    pixels = fit(tf.constant(HALVES), InputSpec(image_size=4, channels=1, fit="stretch")).numpy()[:, :, 0]
    assert (pixels[:, 0] < 20).all() and (pixels[:, 3] > 235).all()
    assert (pixels + pixels[:, ::-1] == 255).all()


def test_pad_shows_the_whole_picture_between_black_bars():
    pixels = fit(tf.constant(HALVES), InputSpec(image_size=4, channels=1, fit="pad")).numpy()[:, :, 0]
    assert (pixels[[0, 3]] == 0).all()
    assert (pixels[1:3, 0] < 20).all() and (pixels[1:3, 3] > 235).all()


def test_crop_takes_the_centre():
    wide = np.arange(8, dtype=np.uint8)[None, :, None].repeat(4, axis=0)
    pixels = fit(tf.constant(wide), InputSpec(image_size=4, channels=1, fit="crop"))
    assert pixels.numpy()[0, :, 0].tolist() == [2, 3, 4, 5]


def test_an_image_of_the_models_size_keeps_every_bit():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 5, 3), np.uint8)
    png = tf.io.encode_png(pixels)
    assert (decode(png, InputSpec(image_size=5, channels=3, fit="pad")).numpy() == pixels).all()


def test_grey_becomes_colour_and_colour_becomes_grey_as_channels_say():
    png = tf.io.encode_png(np.full((2, 2, 1), 77, np.uint8))
    assert (decode(png, InputSpec(image_size=2, channels=3, fit="stretch")).numpy() == 77).all()
    png = tf.io.encode_png(np.full((2, 2, 3), 77, np.uint8))
    assert decode(png, InputSpec(image_size=2, channels=1, fit="stretch")).shape == (2, 2, 1)


def test_size_and_channels_come_from_the_data_unless_they_are_given():
    assert resolve(InputOptions(), (28, 28), 1).shape == (28, 28, 1)
    assert resolve(InputOptions(), (28, 30), 3).shape == (128, 128, 3)
    assert resolve(InputOptions(image_size=64, channels=1), None, 3).shape == (64, 64, 1)
