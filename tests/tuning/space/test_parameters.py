import pytest

from base.errors import InputError
from tuning.space.parameters import Boolean, Choice, Condition, Float, Int


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (Choice, {"values": ()}, "two or more different values. Received: choice=[]"),
        (Choice, {"values": (3,)}, "choice=[3]. Say x: 3 to fix it."),
        (Choice, {"values": (1, 2, 1)}, "two or more different values. Received: choice=[1, 2, 1]"),
        (Choice, {"values": ([1], [1])}, "two or more different values"),
        (Int, {"low": 4, "high": 1}, "the low bound first. Received: int=[4, 1]"),
        (Int, {"low": 4, "high": 4}, "the low bound first"),
        (Int, {"low": 1, "high": 10, "step": 4}, "leads from the low bound to the high one. Received: int=[1, 10, 4]"),
        (Int, {"low": 1, "high": 10, "step": 0}, "step for x, of at least 1"),
        (Int, {"low": 2, "high": 9, "step": 2, "log": True}, "factor for x, of at least 1, that leads from"),
        (Int, {"low": 0, "high": 9, "log": True}, "bounds above 0 for x with log. Received: int=[0, 9]"),
        (Float, {"low": 0.5, "high": 0.1}, "the low bound first. Received: float=[0.5, 0.1]"),
        (Float, {"low": float("nan"), "high": 0.1}, "the low bound first"),
        (Float, {"low": 0.1, "high": float("inf")}, "the low bound first"),
        (Float, {"low": 0.0, "high": 0.1, "log": True}, "bounds above 0 for x with log"),
    ],
)
def test_a_parameter_without_two_values_in_order_is_refused_in_one_line(kind, values, message):
    with pytest.raises(InputError) as error:
        kind(name="x", **values)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("parameter", "line"),
    [
        (Choice(name="pooling", values=("max", "l2")), "pooling: max, l2"),
        (Choice(name="filters", values=(1, 2), also=("dense_units",)), "filters, dense_units: 1, 2"),
        (Int(name="blocks", low=1, high=5), "blocks: 1 to 5"),
        (Int(name="filters", low=16, high=64, step=16), "filters: 16 to 64, step 16"),
        (Int(name="filters", low=16, high=64, log=True), "filters: 16 to 64, logarithmic"),
        (Int(name="filters", low=16, high=64, step=2, log=True), "filters: 16 to 64, logarithmic, factor 2"),
        (Float(name="dropout", low=0.0, high=0.12345678), "dropout: 0.0 to 0.12345678"),
        (Float(name="learning_rate", low=1e-5, high=0.1, log=True), "learning_rate: 1e-05 to 0.1, logarithmic"),
        (
            Boolean(name="nesterov", when=Condition(name="optimizer", values=("sgd", "lion"))),
            "nesterov: False, True where optimizer is sgd, lion",
        ),
    ],
)
def test_a_parameter_is_described_in_one_line_that_holds_all_it_can_be(parameter, line):
    assert parameter.describe() == line


@pytest.mark.parametrize(
    ("parameter", "taken", "refused"),
    [
        (Choice(name="x", values=(1, 2)), [1, 2], [3]),
        (Choice(name="x", values=(None, [1, 2])), [None, [1, 2]], [[1]]),
        (Boolean(name="x"), [True, False], [1, 0, "yes"]),
        (Int(name="x", low=2, high=8, step=3), [2, 5, 8], [3, 11, -1, 5.0, True]),
        (Int(name="x", low=3, high=12, step=2, log=True), [3, 6, 12], [4, 5, 24]),
        (Int(name="x", low=3, high=6, log=True), [3, 4, 5, 6], [2, 7]),
        (Float(name="x", low=0.5, high=1.0), [0.5, 0.7, 1.0], [0.4, 1.1]),
    ],
)
def test_a_parameter_takes_its_values_and_no_others(parameter, taken, refused):
    assert all(parameter.takes(value) for value in taken)
    assert not any(parameter.takes(value) for value in refused)
    if not isinstance(parameter, Float):
        assert parameter.count == len(taken)
