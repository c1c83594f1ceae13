import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

from pipelines.augment.warp import warp

GENERATOR = np.random.default_rng(0)
# None of their places lies half way between two pixels, where rounding would decide.
TURNED = [[0.913, -0.527, 1.317], [0.411, 1.207, -2.719]]
FAR = [[1.0, 0.0, 40.0], [0.0, 1.0, -35.0]]
STRETCHED = [[0.613, 0.0, 1.317], [0.0, -1.719, -2.213]]


def _inside(pixel, size, fill):
    if fill == "reflect":
        pixel %= 2 * size
        return min(pixel, 2 * size - 1 - pixel)
    if fill == "wrap":
        return pixel % size
    if fill == "constant":
        return pixel if 0 <= pixel < size else None
    return min(max(pixel, 0), size - 1)


def _slow(image, matrix, size, fill, fill_value, interpolation):
    """The definition, one pixel after the other, in float64."""
    height, width, channels = image.shape
    shown = np.zeros((*size, channels))
    for row, column in np.ndindex(*size):
        place = [column - (size[1] - 1) / 2, row - (size[0] - 1) / 2, 1]
        x = np.dot(matrix[0], place) + (width - 1) / 2
        y = np.dot(matrix[1], place) + (height - 1) / 2
        if interpolation == "nearest":
            taps = [(math.floor(y + 0.5), math.floor(x + 0.5), 1.0)]
        else:
            top, left = math.floor(y), math.floor(x)
            taps = [
                (top + i, left + j, abs(1 - i - (y - top)) * abs(1 - j - (x - left)))
                for i, j in itertools.product((0, 1), repeat=2)
            ]
        for i, j, share in taps:
            i, j = _inside(i, height, fill), _inside(j, width, fill)
            value = fill_value if i is None or j is None else image[i, j].astype(float)
            shown[row, column] += share * value
    return shown


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("fill", ["nearest", "constant", "reflect", "wrap"])
def test_the_warp_is_its_definition(fill, interpolation):
    for matrices in ([TURNED, FAR], [STRETCHED, FAR]):
        images = GENERATOR.integers(0, 256, (2, 9, 12, 3), np.uint8)
        matrix = np.array(matrices, np.float32)
        options = {"fill": fill, "fill_value": 77.0, "interpolation": interpolation}
        shown = warp(tf.constant(images), tf.constant(matrix), (7, 10), **options)
        for one, image, by in zip(shown.numpy(), images, matrix, strict=True):
            np.testing.assert_allclose(one, _slow(image, by, (7, 10), fill, 77.0, interpolation), atol=0.01)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("matrix", [STRETCHED, TURNED])
def test_eager_compiled_and_in_a_dataset_agree_for_any_channels_and_both_types_of_pixels(channels, matrix):
    images = tf.constant(GENERATOR.integers(0, 256, (4, 16, 11, channels), np.uint8))
    matrix = tf.constant([matrix] * 4, tf.float32)

    def shown(images, matrix, dtype=tf.float32):
        return warp(images, matrix, (16, 11), dtype=dtype)

    eager = shown(images, matrix).numpy()
    compiled = tf.function(shown, jit_compile=True)(images, matrix).numpy()
    mapped = next(iter(tf.data.Dataset.from_tensors((images, matrix)).map(shown))).numpy()
    np.testing.assert_allclose(compiled, eager, atol=0.01)
    np.testing.assert_allclose(mapped, eager, atol=0.01)
    halved = tf.function(lambda *a: shown(*a, dtype=tf.bfloat16), jit_compile=True)(images, matrix)
    assert halved.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(halved, tf.float32), eager, atol=1)


def test_the_identity_leaves_every_bit():
    images = GENERATOR.integers(0, 256, (2, 8, 13, 3), np.uint8)
    identity = tf.constant([[[1.0, 0, 0], [0, 1, 0]]] * 2)
    np.testing.assert_array_equal(warp(tf.constant(images), identity, (8, 13)), images)
