from pathlib import Path

from tuning.oracle import RandomOracle
from tuning.parameters import Boolean, Choice, Condition, Float

SPACE = (
    Choice(name="layers", values=(0, 1, 2)),
    Choice(name="units", values=(32, 64), when=Condition(name="layers", values=(1, 2))),
    Boolean(name="norm"),
    Choice(name="optimizer", values=("adam", "sgd")),
    Float(name="rate", low=1e-4, high=1e-2, log=True, when=Condition(name="optimizer", values=("adam",))),
    Float(name="rate", low=1e-1, high=1.0, log=True, when=Condition(name="optimizer", values=("sgd",))),
)


def proposals(folder: Path, *, seed: int, trials: int = 12, failing: bool = False) -> list[dict]:
    oracle = RandomOracle(SPACE, trials=trials, seed=seed, folder=folder)
    result = []
    while (proposal := oracle.propose()) is not None:
        trial, values = proposal
        result.append(values)
        oracle.tell(trial, None if failing else 0.5, "it failed" if failing else "")
    return result


def test_equal_seeds_propose_the_same_in_the_same_order_also_when_every_trial_fails(tmp_path):
    first = proposals(tmp_path / "first", seed=0)
    assert len(first) == 12
    assert proposals(tmp_path / "again", seed=0) == first
    assert proposals(tmp_path / "failing", seed=0, failing=True) == first


def test_more_trials_propose_the_same_and_then_others(tmp_path):
    assert proposals(tmp_path / "more", seed=0, trials=15)[:12] == proposals(tmp_path / "less", seed=0)


def test_neighbouring_seeds_share_no_draw(tmp_path):
    rates = [{values["rate"] for values in proposals(tmp_path / str(seed), seed=seed)} for seed in (1, 2)]
    assert not rates[0] & rates[1]


def test_dependent_options_are_there_just_where_their_condition_holds(tmp_path):
    results = proposals(tmp_path / "oracle", seed=3, trials=30)
    assert {values["optimizer"] for values in results} == {"adam", "sgd"}
    for values in results:
        assert ("units" in values) == (values["layers"] > 0)
        assert (values["rate"] < 0.05) == (values["optimizer"] == "adam")
        assert isinstance(values["norm"], bool)
