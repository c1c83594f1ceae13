"""What a worker tells of a trial's end, and what its chief's folder holds of it then."""

import dataclasses
import json

import pytest

from base.errors import InputError
from base.recipes import read_yaml
from tuning.cluster.results import SLOT_OPTIONS, Told, result_from, result_text, told_of, write_end
from tuning.oracles.options import OracleOptions
from tuning.oracles.proposal import Proposal
from tuning.plan import SearchPlan
from tuning.processes.machine import Machine
from tuning.processes.slots import slots
from tuning.search_directory import SearchDirectory
from tuning.space.parameters import Choice, Float
from tuning.trial import Execution, TrialResult, read_result, write_recipe

SPACE = (Choice(name="blocks", values=(1, 3)), Float(name="learning_rate", low=1e-4, high=1e-2, log=True))
VALUES = {"blocks": 3, "learning_rate": 0.001}
PROPOSAL = Proposal(number=3, values=VALUES)
RUNG = Proposal(number=3, values=VALUES, epochs=2, parent=1)
EXECUTIONS = (
    Execution(seed=4, score=0.1 + 0.2, epoch=2, metrics={"val_loss": 0.1 + 0.2}, worker="a", seconds=1.5),
    Execution(seed=5, score=0.25, epoch=1, worker="a", slot=2),
)
RESULT = TrialResult(
    number=3, values=VALUES, label="3-blocks-0.001-learning-rate", state="done", score=0.3, executions=EXECUTIONS
)
TOLD = Told(result=RESULT, slots=[{"intra_op_threads": 3, "strategy": "single"}, {}])


def plan_of(data="/chief/data", algorithm="random"):
    options = {"seed": 4, "data": data, "schedule": "constant", "warmup": "0", "epochs": 9}
    oracle = OracleOptions(algorithm=algorithm, max_epochs=4 if algorithm == "hyperband" else None)
    return SearchPlan(space=SPACE, options=options, oracle=oracle, executions=2, seed=4, data_fingerprint="abc")


def test_what_is_told_comes_out_of_the_wire_to_the_bit():
    assert result_from(result_text(TOLD), PROPOSAL, SPACE) == TOLD


@pytest.mark.parametrize(
    "change",
    [
        {"score": None},
        {"score": "0.1"},
        {"score": float("inf")},
        {"state": "failed"},
        {"state": "great"},
        {"executions": []},
        {"executions": [{}]},
        {"executions": None},
        {"executions": [{**dataclasses.asdict(EXECUTIONS[0]), "metrics": {"val_loss": "low"}}]},
        {"executions": [{**dataclasses.asdict(EXECUTIONS[0]), "epoch": 10**30}]},
        {"executions": [{**dataclasses.asdict(EXECUTIONS[0]), "slot": -1}]},
        {"slots": [{"intra_op_threads": "3"}]},
        {"slots": [{"replicas": True}]},
        {"slots": [{"strategy": "/etc/passwd"}]},
    ],
    ids=str,
)
def test_what_is_no_result_is_refused(change):
    with pytest.raises(InputError, match="Expected a trial's result"):
        result_from(json.dumps({**json.loads(result_text(TOLD)), **change}), PROPOSAL, SPACE)


def test_a_reason_and_a_name_are_one_line_of_bounded_length():
    said = json.loads(result_text(TOLD))
    said["reason"] = said["executions"][0]["worker"] = "\x1b[2Ja\nb " + "c" * 5000
    result = result_from(json.dumps(said), PROPOSAL, SPACE).result
    assert result.reason.startswith("[2Ja b ccc") and len(result.reason) == 2000
    assert result.executions[0].worker == result.reason[:500]


def test_what_no_slot_sets_stays_the_chiefs_own():
    said = json.loads(result_text(TOLD))
    said["slots"] = [{"intra_op_threads": 2, "data": "/etc", "start_from": "/etc"}, {}, {"replicas": 2}]
    assert result_from(json.dumps(said), PROPOSAL, SPACE).slots == [{"intra_op_threads": 2}, {}]


@pytest.mark.parametrize("gpus", [(), ("0",), ("0", "1")])
def test_whatever_a_slot_sets_is_told(gpus):
    (slot,) = slots("auto", len(gpus) or 2, Machine(gpus=gpus, cores=(0, 1)))
    assert slot.options.keys() <= set(SLOT_OPTIONS)


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_chiefs_recipes_are_its_workers_with_the_chiefs_own_paths(tmp_path, goes_on):
    plan = plan_of("/worker/data", "hyperband")
    worker, chief = SearchDirectory(tmp_path / "worker"), SearchDirectory(tmp_path / "chief")
    (slot,) = slots("auto", 2, Machine(gpus=(), cores=(0, 1)))
    slot = dataclasses.replace(slot, options={**slot.options, "memory_budget": 12345})
    recipes = ["recipe.yaml", "execution-2/recipe.yaml"]
    for number, path in enumerate(recipes, 1):
        write_recipe(worker.trial(3) / path, plan.recipe(RUNG, number, "/worker/run" if goes_on else None), slot)
    told = result_from(result_text(told_of(worker, RESULT, "a")), RUNG, SPACE)
    write_end(chief, plan_of(algorithm="hyperband"), RUNG, told, "a slot 1")
    parents = [tmp_path / "chief" / "trials" / "01" / part / "run" for part in ("", "execution-2")]
    for path, seed, parent in zip(recipes, (4, 5), parents, strict=True):
        own = {"data": "/chief/data", **({"start_from": str(parent)} if goes_on else {})}
        found = read_yaml(chief.trial(3) / path)
        assert found == {**read_yaml(worker.trial(3) / path), **own}
        assert (found["seed"], found["intra_op_threads"], found["memory_budget"]) == (seed, 2, 12345)
    assert read_result(chief.trial(3)) == told.result


def test_an_impossible_trial_leaves_no_recipe(tmp_path):
    impossible = TrialResult(number=3, values=VALUES, label="", state="impossible", reason="too large")
    told = result_from(result_text(told_of(SearchDirectory(tmp_path / "worker"), impossible, "a")), PROPOSAL, SPACE)
    write_end(SearchDirectory(tmp_path / "chief"), plan_of(), PROPOSAL, told, "a slot 1")
    folder = SearchDirectory(tmp_path / "chief").trial(3)
    assert (told.result.state, told.result.reason) == ("impossible", "too large")
    assert sorted(path.name for path in folder.iterdir()) == ["log.txt", "result.json"]
