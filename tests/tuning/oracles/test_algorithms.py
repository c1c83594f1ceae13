import copy

import keras_tuner

from tuning.oracles.algorithms import Hyperband
from tuning.oracles.keras_tuner_space import KerasTunerSpace
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
