"""The importance of hyperparameters, on functions whose answer is known."""

import itertools

import numpy as np
import pytest
from sklearn.tree import DecisionTreeRegressor

from tuning.report.importance import LEAST_TRIALS, importance, shares_of_tree

SQUARE = np.array(list(itertools.product((0.25, 0.75), repeat=2)))
GRID = np.array(list(itertools.product((1 / 6, 3 / 6, 5 / 6), repeat=3)))


def tree_of(values: list[float]) -> DecisionTreeRegressor:
    return DecisionTreeRegressor(random_state=0).fit(SQUARE, values)


def test_the_shares_of_a_tree_are_exact():
    # 4 [a > 1/2] + 2 [b > 1/2]: variances 4 and 1.
    assert shares_of_tree(tree_of([0, 2, 4, 6]), 2) == pytest.approx([0.8, 0.2], abs=1e-12)
    # [a > 1/2] [b > 1/2]: 1/16 each alone, of 3/16.
    assert shares_of_tree(tree_of([0, 0, 0, 1]), 2) == pytest.approx([1 / 3, 1 / 3], abs=1e-12)
    # Exclusive or: none alone.
    assert shares_of_tree(tree_of([0, 1, 1, 0]), 2) == pytest.approx([0, 0], abs=1e-12)
    assert shares_of_tree(tree_of([1, 1, 1, 1]), 2) is None


def test_a_tree_is_weighed_by_the_size_of_its_boxes_and_not_by_its_trials():
    tree = DecisionTreeRegressor(random_state=0).fit([[0.1, 0.5], [0.3, 0.5], [0.3, 0.9]], [0, 8, 8])
    assert shares_of_tree(tree, 2) == pytest.approx([1, 0], abs=1e-12)
    nested = DecisionTreeRegressor(random_state=0).fit([[0.1, 0.5], [0.5, 0.2], [0.5, 0.6]], [0, 9, 10])
    # 0 where a < 0.3, else 9 where b < 0.4, else 10.
    right = 0.4 * 9 + 0.6 * 10
    mean, low, high = 0.7 * right, 0.7 * 9, 0.7 * 10
    whole = 0.3 * mean**2 + 0.28 * (9 - mean) ** 2 + 0.42 * (10 - mean) ** 2
    a = 0.3 * mean**2 + 0.7 * (right - mean) ** 2
    b = 0.4 * (low - mean) ** 2 + 0.6 * (high - mean) ** 2
    assert shares_of_tree(nested, 2) == pytest.approx([a / whole, b / whole], rel=1e-6)  # the inputs are float32


def test_a_grid_of_27_gives_the_shares_of_a_sum_in_their_order():
    found = importance(["a", "b", "c"], GRID, GRID @ [1, 4, 2])
    assert list(found.shares) == ["b", "c", "a"]
    assert list(found.shares.values()) == pytest.approx([16 / 21, 4 / 21, 1 / 21], abs=0.05)
    assert found.together < 0.05
    assert found.r2 > 0.9
    assert found.trials == 27
    assert importance(["a", "b", "c"], GRID, GRID @ [1, 4, 2]) == found


def test_noise_is_told_by_the_trials_that_the_forest_has_not_seen():
    draws = np.random.default_rng(3)
    found = [importance(list("abcdef"), draws.random((30, 6)), draws.random(30)) for _ in range(6)]
    assert sum(one.is_noise for one in found) >= 5
    at = draws.random((30, 6))
    assert not importance(list("abcdef"), at, at[:, 2]).is_noise


def test_one_trial_that_diverged_is_not_all_there_is():
    at = np.random.default_rng(1).random((60, 2))
    scores = at[:, 0].copy()
    scores[7] = 1e6
    found = importance(["a", "b"], at, scores)
    assert found.r2 > 0.6
    assert found.shares["a"] > 0.8


def test_what_depends_on_another_hyperparameter_gets_none_of_its_importance():
    draws = np.random.default_rng(2)
    layers = draws.integers(0, 3, 60)
    units = np.where(layers == 0, np.nan, draws.random(60))
    found = importance(["layers", "units"], np.stack([(layers + 0.5) / 3, units], 1), 2.0 * (layers == 0))
    assert found.shares["layers"] > 0.95
    assert found.shares["units"] < 0.02


def test_too_few_trials_or_equal_scores_say_nothing():
    few = GRID[: LEAST_TRIALS - 1]
    assert importance(["a", "b", "c"], few, few[:, 2]) is None
    assert importance(["a", "b", "c"], GRID, np.ones(27)) is None
    assert importance(["a", "b", "c"], np.full((27, 3), np.nan), range(27)).shares == {"a": 0, "b": 0, "c": 0}
