import pytest

from base.errors import InputError
from tuning.oracles.keras_tuner_space import KerasTunerSpace
from tuning.space.parameters import Boolean, Choice, Condition


def test_an_option_that_hangs_on_one_with_two_conditions_follows_both():
    rate = Choice(name="rate", values=(1, 2), when=Condition(name="kind", values=("a",)))
    other_rate = Choice(name="rate", values=(2, 3), when=Condition(name="kind", values=("b",)))
    decay = Choice(name="decay", values=(0, 9), when=Condition(name="rate", values=(2,)))
    space = KerasTunerSpace((Choice(name="kind", values=("a", "b")), rate, other_rate, decay))
    keys = [hp.name for hp in space.hyperparameters.space]
    assert len(keys) == len(set(keys)) == 5
    assert space.options({keys[0]: 1, keys[2]: 0, keys[4]: 1}) == {"kind": "b", "rate": 2, "decay": 9}


def test_a_condition_on_what_does_not_stand_before_is_refused():
    with pytest.raises(InputError, match="Received: condition='b'"):
        KerasTunerSpace((Boolean(name="a", when=Condition(name="b", values=(True,))), Boolean(name="b")))
