import math

import pytest

from tuning.median_rule import is_hopeless

# Means of the first two epochs: 0.8, 0.7, 0.6; their median: 0.7.
ENDED = [[0.9, 0.7, 0.1], [0.8, 0.6, 0.1], [0.7, 0.5, 0.1]]


def hopeless(curve, ended=ENDED, running=(), better="min", least_trials=3, grace_epochs=1) -> bool:
    return is_hopeless(curve, ended, running, better=better, least_trials=least_trials, grace_epochs=grace_epochs)


@pytest.mark.parametrize(
    ("curve", "expected"), [([0.9, 0.71], True), ([0.9, 0.7], False), ([0.9, 0.69], False), ([0.65, 0.99], False)]
)
def test_the_best_value_so_far_is_compared_with_the_median_of_the_others_means(curve, expected):
    assert hopeless(curve) == expected
    higher_is_better = hopeless([-v for v in curve], [[-v for v in other] for other in ENDED], better="max")
    assert higher_is_better == expected


def test_what_the_others_did_in_later_epochs_does_not_count():
    assert not hopeless([0.7, 0.7])
    assert hopeless([0.7, 0.7, 0.7])  # of three epochs the means are 0.57, 0.5, 0.43


def test_nothing_is_stopped_before_there_are_enough_trials_or_within_the_grace_period():
    assert hopeless([9.0, 9.0])
    assert not hopeless([9.0, 9.0], least_trials=4)
    assert not hopeless([9.0, 9.0], grace_epochs=2)
    assert not hopeless([9.0, 9.0], [], least_trials=0)
    assert not hopeless([])


def test_running_trials_count_once_they_are_as_far():
    running = [[0.1, 0.1, 0.1], [0.1, 0.1]]
    assert not hopeless([0.65, 0.65], running=[])
    assert hopeless([0.65, 0.65], running=running)  # the median of 0.8, 0.7, 0.6, 0.1, 0.1 is 0.6
    assert not hopeless([0.65, 0.65], running=[[0.1], [0.1]])
    assert not hopeless([9.0, 9.0], least_trials=4, running=[[0.1]])


def test_a_trial_that_ended_early_counts_with_what_it_has():
    assert hopeless([0.65, 0.65], [[0.6], [0.6], [0.9, 0.9]])


def test_values_that_are_not_finite_count_for_nothing():
    assert hopeless([math.nan, math.nan])
    assert not hopeless([math.nan, 0.6])
    assert hopeless([0.9, 0.71], [*ENDED, [math.nan, math.nan], [0.1, math.nan]])
    assert not hopeless([math.nan] * 2, [[math.nan] * 2] * 3)
