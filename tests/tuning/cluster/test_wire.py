import dataclasses

import pytest

from base.errors import InputError
from tuning.cluster.wire import MESSAGES, Status, WireSpace, number_of
from tuning.oracles.options import OracleOptions
from tuning.oracles.oracle import Oracle
from tuning.oracles.proposal import Proposal, Wait
from tuning.space.parameters import Boolean, Choice, Condition, Float, Int

SPACE = (
    Choice(name="layers", values=(0, 1, 2)),
    Choice(name="units", values=(32, 64), when=Condition(name="layers", values=(1, 2))),
    Boolean(name="norm"),
    Choice(name="mixed", values=(None, 0, 0.5, "auto", False, [3, 3])),
    Int(name="filters", low=8, high=128, log=True),
    Choice(name="optimizer", values=("adam", "sgd")),
    Float(name="rate", low=1e-4, high=1e-2, log=True, when=Condition(name="optimizer", values=("adam",))),
    Float(name="rate", low=1e-1, high=1.0, log=True, when=Condition(name="optimizer", values=("sgd",))),
)
RANDOM = OracleOptions(algorithm="random", trials=60)
HYPERBAND = OracleOptions(algorithm="hyperband", max_epochs=9)
OPTIONS = [RANDOM, OracleOptions(algorithm="grid", trials=60), HYPERBAND]
VALUES = {"layers": 1, "units": 64, "norm": True, "mixed": "auto", "filters": 9, "optimizer": "sgd", "rate": 0.25}
PROPOSAL = Proposal(number=3, values=VALUES)


def read(message) -> bytes:
    """As it comes out of the wire."""
    return MESSAGES.Trial.FromString(message.SerializeToString())


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: options.algorithm)
def test_every_proposal_comes_out_of_the_wire_as_it_went_in(options, capfd):
    wire, oracle, count = WireSpace(SPACE, options), Oracle(SPACE, options, seed=1), 0
    while isinstance(proposal := oracle.propose(), Proposal):
        came = wire.proposal(read(wire.trial(proposal, str(proposal.number), Status.RUNNING)))
        assert came == proposal
        assert {name: type(value) for name, value in came.values.items()} == {
            name: type(value) for name, value in proposal.values.items()
        }
        oracle.tell(proposal.number, float(proposal.number))
        count += 1
    assert not isinstance(proposal, Wait) and count > 20
    assert capfd.readouterr().out == ""


def changed(**values):
    """A trial with some of KerasTuner's values others; None: without."""
    trial = WireSpace(SPACE, RANDOM).trial(PROPOSAL, "3", Status.RUNNING)
    there = trial.hyperparameters.values.values
    for name, value in values.items():
        key = next((key for key in there if key.split(" where ")[0] == name), name)
        there.pop(key, None)
        if value is not None:
            there[key].CopyFrom(MESSAGES.Value(**value))
    return read(trial)


@pytest.mark.parametrize(
    "values",
    [
        {"filters": {"int_value": 129}},
        {"filters": {"float_value": 9.5}},
        {"filters": {"string_value": "9; rm -rf"}},
        {"rate": {"float_value": 1.5}},
        {"rate": {"float_value": float("nan")}},
        {"mixed": {"int_value": 6}},
        {"mixed": {"int_value": -1}},
        {"mixed": {"string_value": "auto"}},
        {"mixed": {}},
        {"layers": {"int_value": 0}},  # units are there only with layers
        {"norm": None},
        {"units": None},
        {"start_from": {"string_value": "/etc"}},
        {"tuner/epochs": {"int_value": 5}},
        {"tuner/trial_id": {"string_value": "1"}},
    ],
    ids=str,
)
def test_what_is_outside_the_space_is_refused(values):
    with pytest.raises(InputError, match="Expected trial 3 inside this command's own space"):
        WireSpace(SPACE, RANDOM).proposal(changed(**values))


@pytest.mark.parametrize(("epochs", "parent"), [(None, None), (10, None), (0, None), (3, 3), (3, 4)])
def test_a_rung_has_epochs_of_hyperband_and_a_parent_before_it(epochs, parent):
    wire = WireSpace(SPACE, HYPERBAND)
    trial = wire.trial(dataclasses.replace(PROPOSAL, epochs=epochs, parent=parent), "3", Status.RUNNING)
    with pytest.raises(InputError, match="Expected trial 3 inside"):
        wire.proposal(read(trial))
    good = dataclasses.replace(PROPOSAL, epochs=9, parent=2)
    assert wire.proposal(read(wire.trial(good, "3-ab12", Status.RUNNING, parent_epochs=3))) == good


@pytest.mark.parametrize("trial_id", ["", "0", "-1", "../3", "3-", "3-xyz", "99999999", "٣", "3\n"])
def test_what_is_no_trials_id_is_refused(trial_id):
    assert number_of("12-0a1b") == 12
    with pytest.raises(InputError, match="Expected the id of a trial"):
        number_of(trial_id)
