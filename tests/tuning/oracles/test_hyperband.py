import copy
from collections import Counter

import keras_tuner
import pytest

from tests.tuning.oracles.searches import Trial, new_oracle, searched
from tuning.oracles.hyperband import Hyperband
from tuning.oracles.keras_tuner_space import KerasTunerSpace
from tuning.oracles.rungs import brackets, most_trials
from tuning.space.parameters import Choice


def test_asking_hyperband_while_there_is_nothing_to_start_changes_nothing():
    """The journal holds no such questions: an oracle that was not asked must come to the same state."""
    space = KerasTunerSpace((Choice(name="x", values=tuple(range(12))),))
    objective = keras_tuner.Objective("score", "min")
    oracle = Hyperband(objective=objective, hyperparameters=space.hyperparameters, seed=1, max_epochs=9)
    for worker in range(12):
        assert oracle.create_trial(str(worker)).status == "RUNNING"
    before = copy.deepcopy(oracle.get_state())
    assert oracle.create_trial("another").status == "IDLE"
    assert oracle.get_state() == before


@pytest.mark.parametrize("factor", [2, 3, 5, 10])
def test_the_table_without_keras_tuner_is_keras_tuners(factor):
    space = KerasTunerSpace((Choice(name="x", values=(1, 2)),)).hyperparameters
    objective = keras_tuner.Objective("score", "min")
    for most in (1, 2, 3, 4, 8, 9, 10, 27, 30, 100, 125, 243, 1000):
        oracle = Hyperband(objective=objective, hyperparameters=space, seed=1, max_epochs=most, factor=factor)
        numbers = reversed(range(oracle._get_num_brackets()))
        assert brackets(most, factor) == [
            [(oracle._get_size(number, rung), oracle._get_epochs(number, rung)) for rung in range(number + 1)]
            for number in numbers
        ]


# (combinations, most epochs, iterations) -> epochs -> trials: the table as far as there are combinations. That of
# 27 epochs is 27, 9, 3, 1 / 12, 4, 2 / 6, 2 / 4; of 9 epochs 9, 3, 1 / 5, 2 / 3.
FINITE = {
    (12, 9, 1): {1: 9, 3: 3 + 5, 9: 1 + 2 + 3},
    (20, 27, 1): {1: 20, 3: 7 + 12, 9: 3 + 4 + 6, 27: 1 + 2 + 2 + 4},  # the first bracket is shorter
    (27, 27, 1): {1: 27, 3: 9 + 12, 9: 3 + 4 + 6, 27: 1 + 2 + 2 + 4},  # the others have no new combination
    (4, 9, 1): {1: 4, 3: 2 + 2, 9: 1 + 1 + 2},  # nothing is left in the end
    (3, 4, 3): {2: 3, 4: 3},  # nor for further iterations
}


@pytest.mark.parametrize("parallel", [1, 4])
@pytest.mark.parametrize(("asked", "expected"), FINITE.items())
def test_hyperband_fills_its_rungs_from_a_space_without_enough_combinations(asked, expected, parallel):
    count, most, iterations = asked
    oracle = new_oracle("hyperband", line_of(count), max_epochs=most, hyperband_iterations=iterations)
    trials = searched(oracle, lambda values: values["x"] * 7 % 5, parallel=parallel)
    assert Counter(proposal.epochs for proposal, _ in trials) == expected
    require_each_trained_once(trials)
    assert most_trials(most, 3, iterations=iterations, combinations=count) == len(trials)


@pytest.mark.parametrize("parallel", [1, 4])
@pytest.mark.parametrize("share", [2, 3, 27])
def test_a_finite_space_with_failures_is_searched_to_the_longest_rung_and_to_an_end(share, parallel):
    score = lambda values: None if values["x"] % share else values["x"]  # noqa: E731
    trials = searched(new_oracle("hyperband", line_of(27), max_epochs=27), score, parallel=parallel)
    failed = {proposal.number for proposal, score in trials if score is None}
    assert not failed & {proposal.parent for proposal, _ in trials}
    assert max(proposal.epochs for proposal, _ in trials) == 27
    assert len(trials) <= most_trials(27, 3, combinations=27)
    require_each_trained_once(trials)


def line_of(count: int) -> tuple[Choice]:
    return (Choice(name="x", values=tuple(range(count))),)


def require_each_trained_once(trials: list[Trial]) -> None:
    """Each combination from scratch once, and from there on by ever longer trials."""
    by_number = {proposal.number: proposal for proposal, _ in trials}
    begun = [str(proposal.values) for proposal in by_number.values() if proposal.parent is None]
    parents = [proposal.parent for proposal in by_number.values() if proposal.parent is not None]
    assert len(begun) == len(set(begun)) and len(parents) == len(set(parents))
    for proposal in by_number.values():
        parent = by_number.get(proposal.parent)
        assert parent is None or (parent.values == proposal.values and parent.epochs < proposal.epochs)
