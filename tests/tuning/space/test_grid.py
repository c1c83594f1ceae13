import pytest

from tuning.space.grid import grid_values, on_grid
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
    assert grid_values(parameter) == (pytest.approx(values) if isinstance(values[0], float) else values)
    assert [type(value) for value in grid_values(parameter)] == [type(value) for value in values]


def test_a_grid_of_a_logarithmic_range_goes_from_end_to_end_by_equal_factors():
    values = grid_values(Float(name="x", low=1e-4, high=1e-1, log=True))
    assert len(values) == 10 and values[0] == 1e-4 and values[-1] == 1e-1
    assert [after / before for before, after in zip(values, values[1:], strict=False)] == pytest.approx(
        [10 ** (1 / 3)] * 9
    )


def test_a_space_on_a_grid_keeps_conditions_further_options_and_labels():
    more = {"also": ("b",), "when": Condition(name="norm", values=(True,)), "label": "width"}
    space = (Boolean(name="norm"), Int(name="a", low=1, high=3, **more), Choice(name="c", values=(None, "auto")))
    assert on_grid(space) == (space[0], Choice(name="a", values=(1, 2, 3), **more), space[2])
