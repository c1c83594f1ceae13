import numpy as np
import pytest

from pipelines.health.moments import channel_moments, channel_statistics, sample_places


def test_mean_and_deviation_are_those_of_all_pixels_when_sizes_are_equal(data):
    for seed in range(3):
        data.add(data.encoded(data.scene(seed), "PNG"))
    pixels = np.stack([np.asarray(data.scene(seed)) for seed in range(3)]).astype(float)
    found = channel_statistics(data.observations())
    assert found["images"] == 3
    assert found["mean"] == pytest.approx(pixels.mean(axis=(0, 1, 2)), abs=1e-3)
    assert found["deviation"] == pytest.approx(pixels.std(axis=(0, 1, 2)), abs=1e-3)
    assert found["mean_of_1"] == pytest.approx(pixels.mean(axis=(0, 1, 2)) / 255, abs=1e-5)


def test_a_large_image_weighs_as_much_as_a_small_one_and_grey_counts_as_colour(data):
    from PIL import Image

    data.add(data.encoded(Image.new("RGB", (10, 10), (100, 0, 200)), "PNG"))
    data.add(data.encoded(Image.new("L", (100, 100), 50), "PNG"))
    found = channel_statistics(data.observations())
    assert found["mean"] == [75, 25, 125]
    assert found["deviation"] == [25, 25, 75]


def test_sums_are_exact_where_32_bits_are_not_enough():
    assert channel_moments(np.full((300, 300, 1), 255, np.uint8)) == ((90000,), (22950000,), (5852250000,))


def test_the_sample_depends_on_seed_and_set_alone():
    places = np.arange(1000, 6000)
    drawn = sample_places(places, seed=1, most=100)
    assert len(set(drawn.tolist())) == 100
    assert set(drawn.tolist()) <= set(places.tolist())
    assert drawn.tolist() == sample_places(places[::-1], seed=1, most=100).tolist()
    assert drawn.tolist() != sample_places(places, seed=2, most=100).tolist()
    assert abs(drawn.mean() - places.mean()) < 500, "from all of the places, not from one end"
    assert sample_places(places[:7], seed=1).tolist() == places[:7].tolist()
