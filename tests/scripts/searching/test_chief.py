"""`tune.py --chief` in this process, with a worker that makes its results up; and a worker's own command."""

import contextlib
import threading
import types

import pytest
import yaml

from base.options import parse
from base.recipes import read_yaml
from scripts import tune
from scripts.searching import worker as worker_command
from scripts.searching.chief import overview
from scripts.searching.final_training import _threads
from scripts.searching.plan import search_plan
from tests.tuning.cluster.chiefs import free_address, serving
from tuning.cluster.client import ChiefClient
from tuning.cluster.options import address_of
from tuning.cluster.worker import RemoteJournal
from tuning.live import summary
from tuning.oracles.options import OracleOptions
from tuning.oracles.proposal import Proposal
from tuning.plan import SearchPlan
from tuning.processes.slots import Slot
from tuning.search_directory import SearchDirectory
from tuning.space.parameters import Float
from tuning.trial import Execution, result_of, write_recipe, write_result

RECIPE = {"epochs": 1, "blocks": {"choice": [1, 2]}, "learning_rate": {"float": [1e-4, 1e-2], "log": True}}


@pytest.fixture
def arguments(digits, tmp_path) -> list[str]:
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    return ["--data", digits, "--config", str(tmp_path / "recipe.yaml"), "--trials", "2"]


def plan_of(argv) -> SearchPlan:
    return search_plan(argv, parse("tune.py", "", tune.GROUPS, argv, leave_out=tune.is_searched))


def work(address, plan, folder):
    """Does what `Search` does, but for the training."""
    directory, slot = SearchDirectory(folder), Slot(number=1, options={"intra_op_threads": 3, "decode_threads": 2})
    client = ChiefClient(address_of(address, "--worker-of"))
    client.about(60.0)
    with RemoteJournal(client, plan, directory, "elsewhere", 1, silent_seconds=40.0) as journal:
        while isinstance(proposal := journal.propose(), Proposal):
            trial = directory.trial(proposal.number)
            write_recipe(trial / "recipe.yaml", plan.recipe(proposal), slot)
            (trial / "run").mkdir()
            (trial / "run" / "metrics.jsonl").write_text('{"epoch": 1, "val_loss": 0.5}\n')
            execution = Execution(seed=0, score=0.5, epoch=1, metrics={"val_loss": 0.5}, seconds=7.0)
            result = result_of(proposal.number, proposal.values, f"name-{proposal.number}", [execution])
            write_result(trial, result)
            journal.tell(proposal.number, result.score)


def test_a_chief_without_workers_ends_and_the_same_command_goes_on_to_all_that_a_search_leaves(
    arguments, tmp_path, capfd
):
    out, address = tmp_path / "chief", free_address()
    # It trains nothing, so that it needs nothing to train on.
    command = [*arguments, "--out", str(out), "--chief", address, "--devices-per-trial", "9999"]
    assert tune.main([*command, "--wait-for-workers", "1"]) == 75
    said = capfd.readouterr()
    assert said.err == "error: Expected a worker within 1 s. Start some, and the same command again.\n"
    assert "stopped; the same command goes on. So far:" in said.out

    plan = plan_of(arguments + ["--out", str(tmp_path / "worker")])
    thread = threading.Thread(target=work, args=(address, plan, tmp_path / "worker"), daemon=True)
    thread.start()
    assert tune.main(command) == 0
    thread.join(timeout=30)
    directory = SearchDirectory(out)
    assert [result.score for result in directory.results()] == [0.5, 0.5]
    for number in (1, 2):
        recipe = read_yaml(directory.trial(number) / "recipe.yaml")
        assert recipe == read_yaml(SearchDirectory(tmp_path / "worker").trial(number) / "recipe.yaml")
        assert _threads(directory, number) == 3  # what --then-train asks for
    assert len(list((out / "tensorboard").glob("*/events.*"))) == 2
    assert "elsewhere, slot 1" in directory.report.read_text()
    assert {result.executions[0].worker for result in directory.results()} == {"elsewhere"}


def test_a_chief_that_is_to_train_the_best_needs_what_to_train_on(arguments, tmp_path, capsys):
    command = [*arguments, "--out", str(tmp_path / "out"), "--chief", "8000", "--devices-per-trial", "9999"]
    assert tune.main([*command, "--then-train"]) == 2
    assert "Expected --devices-per-trial of at most" in capsys.readouterr().err


def test_a_worker_tells_its_chief_of_trials_that_are_too_large(arguments, tmp_path, monkeypatch):
    given = {}

    @contextlib.contextmanager
    def check(limits, places, warn):
        given.update(limits=limits, places=places)
        yield types.SimpleNamespace(why_impossible=lambda recipe: f"too large: {recipe['blocks']}")

    monkeypatch.setattr(worker_command, "size_check", check)
    with serving(tmp_path / "chief", plan_of([*arguments, "--out", "unused"])) as (chief, address, thread):
        command = [*arguments, "--out", str(tmp_path / "out"), "--worker-of", str(address), "--parallel", "1"]
        assert tune.main([*command, "--max-parameters", "9"]) == 0
        thread.join(timeout=10)
        assert not thread.is_alive()
    assert given["limits"].parameters == 9 and len(given["places"]) == 1
    assert {number: (one.state, one.score, one.reason, one.executions) for number, one in chief.results.items()} == {
        number: ("impossible", None, f"too large: {chief.results[number].values['blocks']}", ()) for number in (1, 2)
    }


def test_a_chiefs_status_says_how_long_it_will_take():
    space = (Float(name="dropout", low=0.0, high=0.5),)
    plan = SearchPlan(space=space, options={"epochs": 3}, oracle=OracleOptions(trials=5), seed=0, data_fingerprint="")
    results = {number: result_of(number, {}, "", [Execution(seed=0, score=0.5, seconds=60.0)]) for number in (1, 2)}
    held = [types.SimpleNamespace(proposal=Proposal(number=3, values={}), began=70.0)]
    chief = types.SimpleNamespace(results=results, running=held, workers=["a"], clock=lambda: 100.0)
    now = overview(chief, plan)
    assert now.seconds_left == 30.0 + 2 * 60.0
    assert summary(now) == "1 running  2 done of 5  0 failed  best so far 0.5000 (trial 1)  ETA 2:30"
    chief.results = {}
    assert summary(overview(chief, plan)).endswith("0 done of 5  0 failed  ETA -")


def test_sizes_that_a_chief_does_not_check_are_said(arguments, tmp_path, capsys):
    command = [*arguments, "--out", str(tmp_path / "out"), "--chief", free_address(), "--wait-for-workers", "1"]
    assert tune.main([*command, "--max-parameters", "9"]) == 75
    assert "sizes are checked by the workers" in capsys.readouterr().out
