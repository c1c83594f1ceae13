import pytest

from base.errors import InputError
from tuning.oracles.keras_tuner_space import KerasTunerSpace, grid_values
from tuning.space.parameters import Boolean, Choice, Condition, Float, Int


@pytest.mark.parametrize(
    ("parameter", "values"),
    [
        (Choice(name="x", values=("b", "a", None)), ("b", "a", None)),
        (Boolean(name="x"), (False, True)),
        (Int(name="x", low=6, high=12, step=3), (6, 9, 12)),
        (Int(name="x", low=2, high=32, step=2, log=True), (2, 4, 8, 16, 32)),
        (Int(name="x", low=1, high=4, log=True), (1, 2, 3, 4)),
        (Int(name="x", low=1, high=512, log=True), (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)),
        (Float(name="x", low=0.0, high=9.0), tuple(map(float, range(10)))),
    ],
)
def test_a_grid_has_each_parameters_values_in_order(parameter, values):
    assert grid_values(parameter) == pytest.approx(values) if isinstance(values[0], float) else values
    assert [type(value) for value in grid_values(parameter)] == [type(value) for value in values]


def test_a_grid_of_a_logarithmic_range_goes_from_end_to_end_by_equal_factors():
    values = grid_values(Float(name="x", low=1e-4, high=1e-1, log=True))
    assert len(values) == 10 and values[0] == 1e-4 and values[-1] == 1e-1
    assert [after / before for before, after in zip(values, values[1:], strict=False)] == pytest.approx(
        [10 ** (1 / 3)] * 9
    )


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
