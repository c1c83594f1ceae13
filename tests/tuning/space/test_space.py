import itertools

import pytest

from base.errors import InputError
from tuning.space.parameters import Boolean, Choice, Condition, Float, Int
from tuning.space.space import combinations, describe, joined, narrowed, searched, settings, space_of


def when(name: str, *values) -> Condition:
    return Condition(name=name, values=values)


LAYERS = Choice(name="layers", values=(0, 1, 2))
UNITS = Choice(name="units", values=(64, 128), when=when("layers", 1, 2))
NORM = Boolean(name="norm")
OPTIMIZER = Choice(name="optimizer", values=("adam", "sgd"))
ADAM_RATE = Float(name="rate", low=1e-4, high=1e-2, log=True, when=when("optimizer", "adam"))
SGD_RATE = Float(name="rate", low=1e-2, high=1.0, log=True, when=when("optimizer", "sgd"))


def test_parents_come_first_and_the_rest_stays_in_its_order():
    deep = Boolean(name="deep", when=when("units", 64))
    assert space_of([NORM, deep, UNITS, LAYERS]) == (NORM, LAYERS, UNITS, deep)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ([], "Expected something to search"),
        ([NORM, NORM], "Expected one parameter for norm"),
        ([OPTIMIZER, ADAM_RATE, ADAM_RATE], "that exclude each other"),
        ([OPTIMIZER, ADAM_RATE, Boolean(name="rate")], "that exclude each other"),
        ([Choice(name="size", values=(1, 2), also=("layers",)), LAYERS], "Expected one parameter for layers"),
        ([UNITS], "condition of units on an option that is searched, too. Received: when={'layers': [1, 2]}."),
        ([LAYERS, Boolean(name="norm", when=when("layer", 1))], "Did you mean 'layers'?"),
        ([LAYERS, Boolean(name="norm", when=when("layers", 1, 3))], "on values of layers: 0, 1, 2"),
        ([LAYERS, Boolean(name="norm", when=when("layers"))], "on values of layers: 0, 1, 2"),
        (
            [Float(name="x", low=0.0, high=1.0), Boolean(name="norm", when=when("x", 0.5))],
            "with single values, not on x: 0.0",
        ),
        ([Boolean(name="norm", when=when("norm", True))], "that don't run in a circle"),
        ([LAYERS, Boolean(name="a", when=when("b", True)), Boolean(name="b", when=when("a", True))], "in a circle"),
    ],
)
def test_what_makes_no_space_is_refused_in_one_line(parameters, message):
    with pytest.raises(InputError) as error:
        space_of(parameters)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_fixed_option_is_not_searched_and_settles_what_depends_on_it():
    space = space_of([LAYERS, UNITS, OPTIMIZER, ADAM_RATE, SGD_RATE, Boolean(name="deep", when=when("units", 64))])
    left = narrowed(space, {"optimizer": "sgd", "layers": 0, "epochs": 3})
    assert describe(left) == ["rate: 0.01 to 1.0, logarithmic"]  # of what depends on units nothing is left, either
    assert describe(narrowed(space, {"layers": 1, "optimizer": "lion"})) == [
        "units: 64, 128",
        "deep: False, True where units is 64",
    ]
    adam_rate, sgd_rate = (
        Choice(name="rate", values=values, when=when("optimizer", name))
        for name, values in {"adam": (1, 2), "sgd": (2, 3)}.items()
    )
    chain = [Boolean(name="slow", when=when("rate", 3, 1)), Boolean(name="slower", when=when("rate", 3))]
    assert describe(narrowed(space_of([OPTIMIZER, adam_rate, sgd_rate, *chain]), {"optimizer": "adam"})) == [
        "rate: 1, 2",
        "slow: False, True where rate is 1",
    ]
    with pytest.raises(InputError, match="a hyperparameter that is not fixed"):
        narrowed((NORM,), {"norm": True})


def test_a_parameter_of_several_options_goes_on_with_those_that_are_not_fixed():
    space = (Choice(name="filters", values=(32, 64), also=("units", "more")),)
    assert settings(space, {"filters": 64}) == {"filters": 64, "units": 64, "more": 64}
    assert searched(space) == {"filters", "units", "more"}
    assert describe(narrowed(space, {"units": 1})) == ["filters, more: 32, 64"]
    assert describe(narrowed(space, {"filters": 1})) == ["units, more: 32, 64"]


def test_of_an_options_parameters_the_one_whose_condition_holds_sets_the_others():
    rate = Choice(name="rate", values=(1, 2), also=("decay",), when=when("optimizer", "adam"))
    space = space_of([OPTIMIZER, rate, Choice(name="rate", values=(1, 9), when=when("optimizer", "sgd"))])
    assert settings(space, {"optimizer": "adam", "rate": 1}) == {"optimizer": "adam", "rate": 1, "decay": 1}
    assert settings(space, {"optimizer": "sgd", "rate": 1}) == {"optimizer": "sgd", "rate": 1}


def test_own_parameters_take_the_place_of_ready_ones_and_of_what_they_rule_out():
    ready = space_of([LAYERS, UNITS, OPTIMIZER, ADAM_RATE, SGD_RATE])
    own = [Int(name="layers", low=2, high=4), Choice(name="optimizer", values=("adam", "lion")), NORM]
    assert describe(joined(ready, own)) == [
        "layers: 2 to 4",
        "units: 64, 128 where layers is 2",
        "optimizer: adam, lion",
        "rate: 0.0001 to 0.01, logarithmic where optimizer is adam",
        "norm: False, True",
    ]
    assert joined(ready, []) == ready
    assert joined((), own) == tuple(own)


def test_own_parameters_may_depend_on_ready_ones():
    own = [Boolean(name="nesterov", when=when("optimizer", "sgd"))]
    assert joined((OPTIMIZER,), own) == (OPTIMIZER, *own)


@pytest.mark.parametrize(
    "parameters",
    [
        [LAYERS, NORM],
        [LAYERS, UNITS],
        [LAYERS, UNITS, NORM, Choice(name="deep", values=(7, 8, 9), when=when("units", 64))],
        [LAYERS, UNITS, Boolean(name="norm", when=when("layers", 2)), Boolean(name="other", when=when("norm", True))],
        [OPTIMIZER, Int(name="x", low=1, high=5, step=2, when=when("optimizer", "sgd")), LAYERS],
        [
            OPTIMIZER,
            Choice(name="x", values=(1, 2), when=when("optimizer", "sgd")),
            Boolean(name="norm", when=when("x", 2, 4)),
            Int(name="x", low=2, high=6, step=2, when=when("optimizer", "adam")),
        ],
        [Int(name="x", low=1, high=40, log=True), Boolean(name="norm", when=when("x", 2, 3))],
        [
            OPTIMIZER,
            Int(name="x", low=1, high=3, when=when("optimizer", "sgd")),
            Choice(name="x", values=(7, 8), when=when("optimizer", "adam")),
        ],
    ],
)
def test_combinations_are_as_many_as_can_be_listed(parameters):
    space = space_of(parameters)
    assert combinations(space) == len(listed(space))


def test_a_continuous_parameter_makes_the_combinations_endless():
    assert combinations(space_of([LAYERS, OPTIMIZER, ADAM_RATE])) is None


def listed(space) -> set:
    """All combinations, by brute force over every parameter, whether it is there or not."""
    found = set()
    for chosen in itertools.product(*(all_values(parameter) for parameter in space)):
        values = {}
        for parameter, value in zip(space, chosen, strict=True):
            condition = parameter.when
            if condition is None or values.get(condition.name, "absent") in condition.values:
                values[parameter.name] = value
        found.add(tuple(sorted(values.items())))
    return found


def all_values(parameter) -> tuple:
    if isinstance(parameter, Int):
        return tuple(range(parameter.low, parameter.high + 1, parameter.step))
    return parameter.extremes()
