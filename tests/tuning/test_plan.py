import pytest

from tuning.live import overview_of
from tuning.oracles.options import OracleOptions
from tuning.oracles.oracle import Oracle
from tuning.oracles.proposal import Proposal
from tuning.plan import SearchPlan
from tuning.space.parameters import Boolean, Choice, Condition, Float, Int

FILTERS = Int(name="filters", low=16, high=128, log=True)
RATE = Float(name="rate", low=0.1, high=1.0)
NORM = Boolean(name="norm", when=Condition(name="filters", values=(16, 17, 128)))  # the grid has no 17


def plan(*space, **oracle) -> SearchPlan:
    return SearchPlan(space=space, options={}, oracle=OracleOptions(**oracle), seed=0, data_fingerprint="abc")


def proposed(a_plan: SearchPlan) -> int:
    oracle, count = Oracle(a_plan.space, a_plan.oracle, seed=0), 0
    while isinstance(proposal := oracle.propose(), Proposal):
        oracle.tell(proposal.number, 0.5)
        count += 1
    return count


@pytest.mark.parametrize(
    ("space", "count"),
    [
        ((FILTERS,), 10),
        ((FILTERS, NORM), 12),
        ((RATE,), 10),
        ((Int(name="filters", low=16, high=128, step=2, log=True), Boolean(name="other")), 8),
    ],
)
def test_a_grid_is_expected_to_have_the_trials_that_it_has(space, count):
    a_plan = plan(*space, algorithm="grid")
    assert a_plan.trials == count == proposed(a_plan)
    assert plan(*space, algorithm="grid", trials=5).trials == 5


@pytest.mark.parametrize(("space", "count"), [((RATE,), 23), ((FILTERS,), 23), ((Choice(name="x", values=(1, 2)),), 6)])
def test_hyperband_is_expected_to_have_the_trials_of_its_table(space, count):
    a_plan = plan(*space, algorithm="hyperband", max_epochs=9)
    assert a_plan.trials == count == proposed(a_plan)
    # An hour's rung and a minute's have no mean that says when it is over.
    assert overview_of([], [], a_plan, slots=1).seconds_left is None


def test_others_are_bounded_by_the_combinations_and_by_what_is_asked():
    assert plan(RATE, algorithm="random").trials is None
    assert plan(RATE, algorithm="bayesian", trials=7).trials == 7
    assert plan(FILTERS, algorithm="random", trials=200).trials == 113
