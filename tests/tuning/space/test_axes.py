import numpy as np

from tuning.space.axes import Axis, axes_of, positions
from tuning.space.parameters import Boolean, Choice, Condition, Float, Int

SGD = Condition(name="optimizer", values=("sgd",))
ADAM = Condition(name="optimizer", values=("adam",))
SPACE = (
    Choice(name="optimizer", values=("sgd", "adam")),
    Float(name="learning_rate", low=0.01, high=1.0, log=True, when=SGD),
    Float(name="learning_rate", low=0.0001, high=0.01, log=True, when=ADAM),
    Int(name="units", low=16, high=128, step=2, log=True),
    Int(name="steps", low=0, high=100),
    Boolean(name="batch_norm"),
    Choice(name="head_units", values=([], [256])),
)


def test_a_hyperparameter_under_several_conditions_has_one_axis_of_all_its_values():
    axes = axes_of(SPACE)
    assert [axis.name for axis in axes] == ["optimizer", "learning_rate", "units", "steps", "batch_norm", "head_units"]
    assert axes[1] == Axis(name="learning_rate", low=0.0001, high=1.0, log=True)
    assert axes[2].places == (16, 32, 64, 128)
    mixed = (Choice(name="a", values=(4, 2), when=SGD), Choice(name="a", values=(8, 2), when=ADAM))
    assert axes_of(mixed)[0].places == (2, 4, 8)


def test_values_stand_in_the_middle_of_their_places_and_on_their_scales():
    rows = [
        {"optimizer": "adam", "learning_rate": 0.01, "units": 32, "steps": 25, "batch_norm": True, "head_units": [256]},
        {"optimizer": "sgd", "learning_rate": 1.0, "units": 16, "steps": 100, "batch_norm": False, "head_units": []},
        {"optimizer": "sgd"},
    ]
    expected = [[0.75, 0.5, 0.375, 0.25, 0.75, 0.75], [0.25, 1.0, 0.125, 1.0, 0.25, 0.25], [0.25, *[np.nan] * 5]]
    np.testing.assert_allclose(positions(axes_of(SPACE), rows), expected, rtol=0, atol=1e-12)


def test_ticks_are_read_by_people():
    texts = [[text for _, text in axis.ticks()] for axis in axes_of(SPACE)]
    assert texts[1] == ["0.0001", "0.01", "1"]
    assert texts[3] == ["0", "50", "100"]
    assert texts[5] == ["none", "256"]


def test_a_range_under_one_condition_stands_above_what_is_no_number_under_another():
    off = Choice(name="y", values=(None, "auto", 0.05), when=SGD)
    axes = axes_of((SPACE[0], off, Float(name="y", low=0.1, high=0.9, when=ADAM)))
    assert axes[1] == Axis(name="y", low=0.05, high=0.9, beside=(None, "auto"))
    rows = [{"optimizer": "sgd", "y": None}, {"optimizer": "sgd", "y": "auto"}, {"optimizer": "sgd", "y": 0.05}]
    at = positions(axes, [*rows, {"optimizer": "adam", "y": 0.9}])[:, 1]
    np.testing.assert_allclose(at, [0.0625, 0.1875, 0.25, 1.0], rtol=0, atol=1e-12)
    assert [text for _, text in axes[1].ticks()] == ["none", "auto", "0.05", "0.475", "0.9"]
    np.testing.assert_allclose(
        [at for at, _ in axes[1].ticks()], [0.0625, 0.1875, 0.25, 0.625, 1.0], rtol=0, atol=1e-12
    )
