import numpy as np
import tensorflow as tf

from pipelines.augment.warp import warp
from scripts.judging.views import mirrored, shifted, turned

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 1)).astype(np.uint8)
BATCH = {"index": tf.range(4, dtype=tf.int64), "weight": tf.ones(4)}


def seen(matrices):
    return np.round(warp(tf.constant(IMAGES), matrices(BATCH), (6, 6)).numpy()).astype(np.uint8)


def test_even_examples_are_turned_clockwise_and_odd_ones_counterclockwise():
    expected = [np.rot90(image, -1 if place % 2 == 0 else 1) for place, image in enumerate(IMAGES)]
    np.testing.assert_array_equal(seen(turned(90)), expected)


def test_examples_are_shifted_right_left_down_and_up_and_go_on_with_the_pixels_of_their_edge():
    right, left, down, up = seen(shifted(2))
    np.testing.assert_array_equal(right, IMAGES[0][:, [0, 0, 0, 1, 2, 3]])
    np.testing.assert_array_equal(left, IMAGES[1][:, [2, 3, 4, 5, 5, 5]])
    np.testing.assert_array_equal(down, IMAGES[2][[0, 0, 0, 1, 2, 3]])
    np.testing.assert_array_equal(up, IMAGES[3][[2, 3, 4, 5, 5, 5]])


def test_images_are_mirrored():
    np.testing.assert_array_equal(seen(mirrored(-1, 1)), IMAGES[:, :, ::-1])
    np.testing.assert_array_equal(seen(mirrored(1, -1)), IMAGES[:, ::-1])
