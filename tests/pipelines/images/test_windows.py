import numpy as np
import pytest
import tensorflow as tf

from pipelines.images import decode, windows
from pipelines.images.exif import UPRIGHT
from pipelines.images.header import read_header


def sizes_of(*images):
    return windows.image_sizes(tf.constant(images)).numpy().tolist()


def smooth(height, width):
    """A picture as photos are: slow waves, and a little noise."""
    rows, columns = np.mgrid[:height, :width]
    rng = np.random.default_rng(0)
    waves = [np.sin(rows / a + c) * np.cos(columns / b) for a, b, c in rng.uniform(8, 60, (3, 3))]
    return np.clip(128 + 90 * np.stack(waves, -1) + rng.normal(0, 4, (height, width, 3)), 0, 255).astype(np.uint8)


def test_sizes_are_read_off_the_headers_of_jpeg_and_png(images):
    assert sizes_of(images.jpeg(images.pixels(20, 31)), images.png(images.pixels(300, 7, 1))) == [[20, 31], [300, 7]]


def decoded(data, box, size, target, channels=3):
    """A window as the readers have it, and its ratio."""
    plan = windows.plan(tf.constant([box]), tf.constant([size]), target)
    window = tf.nest.map_structure(lambda column: column[0], plan)
    return windows.decode_window(tf.constant(data), window, target, channels).numpy().astype(int), int(window.ratio)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_window_is_cut_out_of_the_whole_image_to_the_bit(images, channels):
    for data in (images.jpeg(smooth(90, 70)), images.png(smooth(90, 70)), images.jpeg(images.pixels(90, 70, 1))):
        whole = tf.io.decode_image(data, channels=channels).numpy()
        for box in ([0, 0, 90, 70], [33, 16, 40, 51], [32, 17, 41, 32], [89, 69, 1, 1]):
            top, left, height, width = box
            window, _ = decoded(data, box, [90, 70], (height, width), channels)
            np.testing.assert_array_equal(window, whole[top : top + height, left : left + width])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_window_of_a_turned_image_is_cut_where_it_is_shown(images, orientation):
    data = images.jpeg(smooth(48, 80), orientation)
    assert read_header(data, 10**6).orientation == orientation
    shown = decode.turn(tf.io.decode_jpeg(data, channels=3), orientation).numpy()
    turned, stored = tf.constant([orientation], tf.int64), tf.constant(sizes_of(data))
    shown_size = windows.shown_sizes(stored, turned)
    assert tuple(shown_size[0].numpy()) == shown.shape[:2]
    box = windows.stored_boxes(tf.constant([[5, 9, 20, 13]]), shown_size, turned)[0].numpy().tolist()
    window, _ = decoded(data, box, stored[0].numpy().tolist(), tuple(box[2:]))
    np.testing.assert_array_equal(decode.turn(tf.constant(window), orientation), shown[5:25, 9:22])


def test_only_windows_of_twice_the_target_and_more_are_decoded_smaller():
    for side, ratio in ((31, 1), (32, 2), (63, 2), (64, 4), (127, 4), (128, 8), (1000, 8)):
        plan = windows.plan(tf.constant([[3, 5, side, side + 9]]), tf.constant([[2000, 2000]]), (16, 16))
        assert int(plan.ratio[0]) == ratio


@pytest.mark.parametrize("ratio", [2, 4, 8])
def test_a_smaller_decode_is_within_two_grey_levels_of_the_antialiased_window_at_full_scale(images, ratio):
    data = images.jpeg(smooth(397, 611))
    whole = tf.io.decode_jpeg(data, channels=3)
    for top, left, height, width in ([37, 50, 300, 401], [96, 210, 301, 401]):  # within, and in the last corner
        side = 300 // ratio
        exact = tf.image.resize(whole[top : top + height, left : left + width], (side, side), antialias=True).numpy()
        for encoded in (data, images.png(whole)):
            window, at = decoded(encoded, [top, left, height, width], [397, 611], (side, side))
            assert at == ratio
            assert abs(window - exact).mean() <= 2 and abs(window - exact)[:, -1].mean() < 5


def test_resizing_is_bilinear_and_rounded(images):
    pixels = smooth(30, 40)
    expected = tf.image.resize(pixels[4:27, 5:38], (17, 23)).numpy()
    window, _ = decoded(images.png(pixels), [4, 5, 23, 33], [30, 40], (17, 23))
    assert abs(window - expected).max() <= 0.501


def test_an_upright_image_needs_no_turning():
    boxes, sizes = tf.constant([[1, 2, 3, 4]]), tf.constant([[10, 20]])
    assert windows.stored_boxes(boxes, sizes, tf.constant([UPRIGHT], tf.int64)).numpy().tolist() == [[1, 2, 3, 4]]
