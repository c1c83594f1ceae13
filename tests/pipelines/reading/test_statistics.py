import numpy as np
import pytest

from base.errors import InputError
from pipelines.reading.statistics import pixel_statistics, require_whitenable, zca_matrix

RNG = np.random.default_rng(0)


def batches(images, size):
    """As evaluation reads them: the last batch is padded with weight 0."""
    for start in range(0, len(images), size):
        part = images[start : start + size]
        padding = np.full((size - len(part), *images.shape[1:]), 255, np.uint8)
        weight = np.arange(size) < len(part)
        yield {"image": np.concatenate([part, padding]), "weight": weight.astype(np.float32)}


@pytest.mark.parametrize("channels", [1, 3])
def test_statistics_are_those_of_all_pixels_and_leave_padding_out(channels):
    images = RNG.integers(0, 200, (37, 6, 5, channels), np.uint8)
    seen = pixel_statistics(batches(images, 8), whiten=True)
    assert seen.examples == 37
    np.testing.assert_allclose(seen.mean, images.mean(axis=(0, 1, 2)), rtol=1e-14)
    np.testing.assert_allclose(seen.std, images.std(axis=(0, 1, 2)), rtol=1e-12)
    centred = (images - seen.mean).reshape(37, -1)
    values, vectors = seen.whitening
    np.testing.assert_allclose((vectors * values) @ vectors.T, centred.T @ centred / 37, atol=1e-8)


def test_statistics_are_the_same_to_the_last_bit_whatever_the_batches_and_the_order():
    images = RNG.integers(0, 256, (60, 5, 5, 3), np.uint8)
    one = pixel_statistics(batches(images, 7), whiten=True)
    other = pixel_statistics(batches(RNG.permutation(images), 60), whiten=True)
    for a, b in ((one.mean, other.mean), (one.std, other.std), *zip(one.whitening, other.whitening, strict=True)):
        np.testing.assert_array_equal(a, b)


def test_a_deviation_far_below_the_mean_is_not_lost_in_cancellation():
    images = np.full((500, 40, 40, 1), 254, np.uint8)
    images[3, 7, 9] = 255
    share = 1 / images.size
    assert pixel_statistics(batches(images, 50)).std[0] == pytest.approx((share * (1 - share)) ** 0.5, rel=1e-12)


def test_whitened_pixels_are_uncorrelated_and_those_that_never_vary_become_0():
    latent = RNG.normal(size=(400, 27)) @ RNG.normal(size=(27, 27))
    images = np.clip(latent * 12 + 128, 0, 255).astype(np.uint8).reshape(400, 3, 3, 3)
    images[:, 0, 0] = 7
    seen = pixel_statistics(batches(images, 64), whiten=True)
    flat = (images / 255 - seen.mean / 255).reshape(400, -1)
    whitened = flat @ zca_matrix(seen, factor=1 / 255, epsilon=1e-6)
    moment = whitened.T @ whitened / 400
    np.testing.assert_allclose(moment @ moment, moment, atol=1e-4)  # a projection: 1 in 25 directions (one is the mean
    assert np.trace(moment) == pytest.approx(25, abs=1e-3)  # of what is constant), 0 in the others


def test_images_too_large_to_be_whitened_are_refused_with_the_reason():
    require_whitenable((64, 64, 1))
    with pytest.raises(InputError, match="4,096 values.*as many rows and columns.*values=4107") as error:
        require_whitenable((37, 37, 3))
    assert "\n" not in str(error.value)
