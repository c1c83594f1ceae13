import numpy as np
import pytest

from models.evaluation.bootstrap import resample
from models.evaluation.metrics import overall
from models.evaluation.paired import differences, mcnemar


def test_mcnemars_p_is_that_of_a_coin_thrown_for_the_examples_that_only_one_has_right():
    right = np.array([True] * 8 + [True] * 5 + [False] * 1 + [False] * 6)
    other = np.array([True] * 8 + [False] * 5 + [True] * 1 + [False] * 6)
    # of 6 throws 0, 1, 5 or 6 heads: (1 + 6 + 6 + 1) / 64
    assert mcnemar(right, other) == {"only_this": 5, "only_other": 1, "p": pytest.approx(14 / 64)}


def test_models_that_are_right_on_the_same_examples_do_not_differ():
    right = np.array([True, False, True])
    assert mcnemar(right, right) == {"only_this": 0, "only_other": 0, "p": 1.0}


def scores_of(right, label):
    sure = np.where(right, 0.9, 0.1)
    first = np.where(label == 0, sure, 1 - sure)
    return np.stack([first, 1 - first], axis=1).astype(np.float32)


def test_pairing_makes_the_interval_of_a_difference_narrower_than_that_of_unpaired_models():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 500)
    hard = rng.random(500) < 0.3
    one, other = ~hard, ~hard & (rng.random(500) > 0.04)  # wrong where the first is, and on a few more
    judged = [(scores_of(right, label), label, np.zeros(500)) for right in (one, other)]
    samples = [resample(*each, probable=True, resamples=1000, seed=3)[0] for each in judged]
    values = [overall(*each, probable=True) for each in judged]
    seen = differences(*values, *samples, 0.95)["accuracy"]
    assert seen["difference"] == pytest.approx(one.mean() - other.mean())
    low, high = seen["interval"]
    share = one.mean() - other.mean()
    width = 2 * 1.96 * np.sqrt(share * (1 - share) / 500)  # of a share of 500 examples that differ, all one way
    assert 0 < low < seen["difference"] < high and high - low == pytest.approx(width, rel=0.15)
    elsewhere = resample(*judged[1], probable=True, resamples=1000, seed=4)[0]
    low, high = differences(*values, samples[0], elsewhere, 0.95)["accuracy"]["interval"]
    assert high - low > 2 * width
