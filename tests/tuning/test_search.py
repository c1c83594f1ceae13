"""The search, with a train command that only pretends to train."""

import contextlib
import dataclasses
import json
import os
import sys
import textwrap
import time
from pathlib import Path

import pytest
import yaml

from base.errors import InputError
from tuning.hours import Hours
from tuning.oracles.journal import Journal
from tuning.oracles.options import OracleOptions
from tuning.oracles.oracle import Oracle
from tuning.plan import SearchPlan
from tuning.processes.slots import Slot
from tuning.ranking import ranked, write_ranking
from tuning.search import Search
from tuning.search_directory import SearchDirectory
from tuning.space.parameters import Choice

BUDGET = {"trials": 6}

# Blocks say how the trial goes; every call leaves a line in "calls".
TRAIN = """
    import os, pathlib, sys, time, yaml
    recipe, run = sys.argv[sys.argv.index("--config") + 1], pathlib.Path(sys.argv[sys.argv.index("--run") + 1])
    options = yaml.safe_load(open(recipe))
    blocks = options["blocks"]
    held = pathlib.Path(sys.argv[sys.argv.index("--hold-in") + 1])
    held.mkdir(exist_ok=True)
    (held / "split.frames").touch()
    with open("CALLS", "a") as calls:
        print(blocks, file=calls)
    run.mkdir(parents=True, exist_ok=True)
    rows = [(1, "NaN" if blocks == 4 else 9), (2, "NaN" if blocks == 4 else 1 / blocks), (3, "NaN")]
    rows = [(epoch, loss) for epoch, loss in rows if epoch <= options["epochs"]]
    row = '{"epoch": %s, "val_loss": %s, "val_accuracy": 0.5}\\n'
    (run / "metrics.jsonl").write_text("".join(row % pair for pair in rows))
    if blocks == 2:
        print("working"), sys.exit("error: Expected fewer --blocks.")
    if blocks == 3:
        os.kill(os.getpid(), 9)
    checkpoints = run / "checkpoints"
    checkpoints.mkdir(exist_ok=True)
    (checkpoints / f"step-{len(list(checkpoints.iterdir())):09}.npz").touch()
    if blocks == 11 and len(list(checkpoints.iterdir())) < 6:
        os.kill(os.getpid(), 9)
    if blocks == 12:
        rows += [(epoch, 20) for epoch in range(4, 8)]
        (run / "metrics.jsonl").write_text("".join(row % (epoch, 20) for epoch, _ in rows))
        time.sleep(2.5)
    if blocks == 9:
        rows += [(epoch, 20) for epoch in range(4, 7)]
        (run / "metrics.jsonl").write_text("".join(row % (epoch, 20) for epoch, _ in rows))
        time.sleep(60)
"""


@pytest.fixture
def train_command(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(textwrap.dedent(TRAIN).replace("CALLS", str(tmp_path / "calls")))
    return [sys.executable, str(script)]


def plan(*, trials: int | None, blocks: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8), **more) -> SearchPlan:
    options = {"blocks": 3, "epochs": 7, "seed": 0, "data": "/data", "replicas": None, "evaluate_on": None}
    options |= {"schedule": "constant", "warmup": "0", "schedule_length": None}
    oracle = OracleOptions(trials=trials, **{"algorithm": "random", **more.pop("oracle", {})})
    space = (Choice(name="blocks", values=blocks),)
    return SearchPlan(space=space, options=options, oracle=oracle, seed=0, data_fingerprint="abc", **more)


def begun(a_plan: SearchPlan, directory: SearchDirectory, train_command, lock: int, slots: int = 1, **more) -> Search:
    journal = Journal(directory.journal, Oracle(a_plan.space, a_plan.oracle, seed=a_plan.seed))
    places = [Slot(number=number + 1) for number in range(slots)]
    more = {"hours": Hours(directory.hours), **more}
    return Search(a_plan, directory, places, journal, train_command, lock, **more)


def run(a_plan: SearchPlan, folder: Path, train_command, stop_after: int | None = None, **more) -> list:
    directory, results = SearchDirectory(folder), []
    with directory.locked(lambda: None) as lock:
        assert not directory.is_finished(a_plan.identity(), BUDGET, overwrite=False)
        with contextlib.closing(begun(a_plan, directory, train_command, lock, **more).run()) as search:
            for result in search:
                results.append(result)
                if len(results) == stop_after:
                    return results
    write_ranking(a_plan, directory, directory.results(), BUDGET)
    return results


def calls(tmp_path: Path) -> list[int]:
    return [int(text) for text in (tmp_path / "calls").read_text().split()]


def test_every_failure_is_recorded_with_its_reason_and_the_search_goes_on(tmp_path, train_command):
    results = run(plan(trials=8), tmp_path / "out", train_command)
    assert not (tmp_path / "out" / "held").exists()  # what the trials had in common
    reasons = {result.values["blocks"]: result.reason for result in results}
    assert reasons == {
        **dict.fromkeys((1, 5, 6, 7, 8), ""),
        2: "Expected fewer --blocks.",
        3: "ended by SIGKILL",
        4: "no finite val_loss",
    }
    refused = next(result for result in results if result.values["blocks"] == 2)
    assert "working" in (SearchDirectory(tmp_path / "out").trial(refused.number) / "log.txt").read_text()
    assert [result.values["blocks"] for result in ranked(results, plan(trials=8).objective)] == [8, 7, 6, 5, 1]
    content = json.loads((tmp_path / "out" / "ranking.json").read_text())
    assert [entry["score"] for entry in content["ranking"]] == [1 / 8, 1 / 7, 1 / 6, 1 / 5, 1]
    assert {entry["reason"] for entry in content["failed"]} == {text for text in reasons.values() if text}


def test_a_trial_that_is_killed_again_and_again_is_not_given_up_while_it_gets_on(tmp_path, train_command):
    results = run(plan(trials=2, blocks=(5, 11)), tmp_path / "out", train_command)
    assert {result.state for result in results} == {"done"}
    assert sorted(calls(tmp_path)) == [5, *[11] * 6]


def test_a_search_of_nothing_but_failures_comes_to_its_end(tmp_path, train_command):
    results = run(plan(trials=3, blocks=(2, 3, 4)), tmp_path / "out", train_command)
    assert len(results) == 3
    assert ranked(results, plan(trials=3).objective) == []
    assert not (tmp_path / "out" / "best.yaml").exists()


def test_an_interrupted_search_repeats_no_ended_trial_and_ends_as_if_never_interrupted(tmp_path, train_command):
    run(plan(trials=6), tmp_path / "cut", train_command, stop_after=2)
    results = run(plan(trials=6), tmp_path / "cut", train_command)
    assert [result.number for result in results] == [3, 4, 5, 6]
    # Killed by its own hand it goes on twice; every other one was trained once.
    assert sorted(calls(tmp_path)) == sorted([*(r.values["blocks"] for r in whole_of(tmp_path / "cut")), 3, 3])
    whole = run(plan(trials=6), tmp_path / "whole", train_command)
    assert [(result.values, result.score) for result in whole_of(tmp_path / "cut")] == [
        (other.values, other.score) for other in whole
    ]
    assert SearchDirectory(tmp_path / "cut").is_finished(plan(trials=6).identity(), BUDGET, overwrite=False)
    assert (tmp_path / "cut" / "best.yaml").read_text() == (tmp_path / "whole" / "best.yaml").read_text()


def whole_of(folder: Path) -> list:
    return SearchDirectory(folder).results()


def test_a_longer_search_goes_on_where_the_shorter_one_ended(tmp_path, train_command):
    short = run(plan(trials=2), tmp_path / "out", train_command)
    directory = SearchDirectory(tmp_path / "out")
    assert directory.is_finished(plan(trials=2).identity(), BUDGET, overwrite=False)
    assert not directory.is_finished(plan(trials=4).identity(), {"trials": 4}, overwrite=False)
    with directory.locked(lambda: None) as lock:
        more = list(begun(plan(trials=4), directory, train_command, lock).run())
    assert [result.number for result in short + more] == [1, 2, 3, 4]


def test_a_shorter_search_ranks_what_the_longer_one_had_tried(tmp_path, train_command):
    longer = run(plan(trials=6), tmp_path / "out", train_command)
    directory = SearchDirectory(tmp_path / "out")
    assert not directory.is_finished(plan(trials=2).identity(), {"trials": 2}, overwrite=False)
    with directory.locked(lambda: None) as lock:
        assert list(begun(plan(trials=2), directory, train_command, lock).run()) == []
    assert whole_of(tmp_path / "out") == longer


def test_executions_are_trained_with_seeds_of_their_own_and_judged_by_their_mean(tmp_path, train_command):
    (result,) = run(plan(trials=1, blocks=(5, 5.5), executions=3), tmp_path / "out", train_command)
    folder = SearchDirectory(tmp_path / "out").trial(1)
    recipes = [folder / "recipe.yaml", *(folder / f"execution-{number}" / "recipe.yaml" for number in (2, 3))]
    assert [yaml.safe_load(recipe.read_text())["seed"] for recipe in recipes] == [0, 1, 2]
    assert [execution.seed for execution in result.executions] == [0, 1, 2]
    assert result.score == pytest.approx(1 / result.values["blocks"]) and result.deviation == 0


def test_an_impossible_trial_costs_no_training_and_counts(tmp_path, train_command):
    def why(recipe) -> str:
        return "too large" if recipe["blocks"] >= 6 else ""

    results = run(plan(trials=8), tmp_path / "out", train_command, why_impossible=why)
    impossible = {result.values["blocks"] for result in results if result.state == "impossible"}
    assert impossible == {6, 7, 8} and len(results) == 8
    assert not impossible & set(calls(tmp_path))


def test_a_trial_that_was_begun_is_not_found_impossible_when_the_search_goes_on(tmp_path, train_command):
    a_plan, directory = plan(trials=2, blocks=(5, 6)), SearchDirectory(tmp_path / "out")
    with directory.locked(lambda: None):
        directory.is_finished(a_plan.identity(), BUDGET, overwrite=False)
        Journal(directory.journal, Oracle(a_plan.space, a_plan.oracle, seed=a_plan.seed)).propose()
        (directory.trial(1) / "run").mkdir(parents=True)
    results = run(a_plan, tmp_path / "out", train_command, why_impossible=lambda _: "no memory is free")
    assert {result.number: result.state for result in results} == {1: "done", 2: "impossible"}


def test_the_table_shows_the_epochs_that_a_trial_searches(tmp_path, train_command):
    a_plan, seen = plan(trials=1, executions=2), []
    a_plan = dataclasses.replace(a_plan, space=(Choice(name="epochs", values=(3, 4)),))
    a_plan = dataclasses.replace(a_plan, options={**a_plan.options, "blocks": 5})
    (result,) = run(a_plan, tmp_path / "out", train_command, watch=seen.append)
    assert {row.epochs for overview in seen for row in overview.rows} == {result.values["epochs"]}


def test_the_time_after_a_searchs_last_result_is_kept_when_it_is_interrupted(tmp_path, train_command):
    def saved() -> float:
        return json.loads(directory.hours.read_text())["seconds"]

    a_plan, directory = plan(trials=2, blocks=(5, 6)), SearchDirectory(tmp_path)
    with (
        directory.locked(lambda: None) as lock,
        contextlib.closing(begun(a_plan, directory, train_command, lock).run()) as search,
    ):
        next(search)
        before = saved()
        time.sleep(0.1)
    assert saved() >= before + 0.1


def test_a_trial_that_is_worse_than_the_median_is_stopped_and_judged_by_what_it_had(tmp_path, train_command):
    blocks = (1, 5, 6, 7, 8, 10, 9)  # 9 is the hopeless one, which would take a minute
    a_plan = plan(trials=None, blocks=blocks, oracle={"algorithm": "grid"})
    results = run(a_plan, tmp_path / "out", train_command, stop_hopeless=True)
    assert [(r.values["blocks"], r.state) for r in results if r.state != "done"] == [(9, "stopped")]
    assert results[-1].score == 1 / 9 or results[-1].score == 20


def test_a_trial_that_has_nothing_left_to_train_is_not_stopped(tmp_path, train_command):
    a_plan = plan(trials=None, blocks=(1, 5, 6, 7, 8, 10, 12), oracle={"algorithm": "grid"})
    results = run(a_plan, tmp_path / "out", train_command, stop_hopeless=True)
    assert {result.state for result in results} == {"done"}


def test_a_rung_whose_parents_checkpoint_is_not_here_begins_anew(tmp_path, train_command):
    a_plan = plan(trials=None, blocks=tuple(range(5, 9)), oracle={"algorithm": "hyperband", "max_epochs": 3})
    run(a_plan, tmp_path / "out", train_command, stop_after=1)
    (lost,) = (tmp_path / "out").glob("trials/01/run/checkpoints/*")
    lost.unlink()
    run(a_plan, tmp_path / "out", train_command)
    for result in whole_of(tmp_path / "out"):
        recipe = yaml.safe_load((SearchDirectory(tmp_path / "out").trial(result.number) / "recipe.yaml").read_text())
        assert ("start_from" in recipe) == (result.parent not in (None, 1)) and recipe["epochs"] == result.epochs
    assert any(result.parent == 1 for result in whole_of(tmp_path / "out"))


def test_hyperbands_rungs_go_on_from_their_parents_and_schedules_span_the_longest(tmp_path, train_command):
    a_plan = plan(trials=None, blocks=tuple(range(5, 40)), oracle={"algorithm": "hyperband", "max_epochs": 3})
    a_plan = dataclasses.replace(a_plan, options={**a_plan.options, "schedule": "cosine"})
    results = run(a_plan, tmp_path / "out", train_command, slots=2)
    directory = SearchDirectory(tmp_path / "out")
    children = [result for result in results if result.parent is not None]
    assert children and {result.epochs for result in results} == {1, 3}
    for result in results:
        recipe = yaml.safe_load((directory.trial(result.number) / "recipe.yaml").read_text())
        assert recipe["epochs"] == result.epochs and recipe["schedule_length"] == "3 epochs"
        parent = result.parent and str((directory.trial(result.parent) / "run").resolve())
        assert recipe.get("start_from") == parent


def test_no_trial_is_started_when_the_hours_are_over(tmp_path, train_command):
    (tmp_path / "hours.json").write_text('{"seconds": 3601}')
    assert run(plan(trials=2), tmp_path / "out", train_command, hours=Hours(tmp_path / "hours.json", 1.0)) == []


def test_a_search_ends_when_the_space_has_no_other_combination(tmp_path, train_command):
    results = run(plan(trials=9, blocks=(1, 5)), tmp_path / "out", train_command)
    assert sorted(result.values["blocks"] for result in results) == [1, 5]


def test_a_trial_holds_the_lock_with_its_search(tmp_path):
    files = "sys.exit(str([os.path.realpath(f'/proc/self/fd/{number}') for number in os.listdir('/proc/self/fd')]))"
    results = run(plan(trials=1), tmp_path / "out", [sys.executable, "-c", f"import os, sys; {files}"])
    assert repr(str(tmp_path / "out")) in results[0].reason


def test_a_search_waits_for_the_trial_that_a_killed_one_left_behind(tmp_path):
    directory = SearchDirectory(tmp_path)
    with directory.locked(lambda: None) as lock:
        held_by_a_trial = os.dup(lock)
    waited = []

    def trial_ends() -> None:
        waited.append(True)
        os.close(held_by_a_trial)

    with directory.locked(trial_ends):
        assert waited


def test_a_search_of_other_options_or_data_is_refused_naming_the_differences(tmp_path):
    directory = SearchDirectory(tmp_path)
    asked = plan(trials=2, files={"model_file_fingerprint": "ab"}).identity()
    assert not directory.is_finished(asked, BUDGET, overwrite=False)
    with pytest.raises(InputError, match=r"executions 1 there, 3 asked; data_fingerprint 'abc' there, 'abd' asked\."):
        directory.is_finished({**asked, "executions": 3, "data_fingerprint": "abd"}, BUDGET, overwrite=False)
    edited = plan(trials=2, files={"model_file_fingerprint": "cd"}).identity()
    with pytest.raises(InputError, match=r"Differing: model_file_fingerprint 'ab' there, 'cd' asked\."):
        directory.is_finished(edited, BUDGET, overwrite=False)


def test_overwrite_replaces_a_search_and_nothing_else(tmp_path, train_command):
    folder = tmp_path / "out"
    run(plan(trials=1, blocks=(1, 5)), folder, train_command)
    other = plan(trials=2, executions=2).identity()
    for foreign in (folder / "notes.txt", folder / "trials" / "01" / "notes.txt"):
        foreign.write_text("mine")
        with pytest.raises(InputError, match=r"notes\.txt"):
            SearchDirectory(folder).is_finished(other, BUDGET, overwrite=True)
        assert (folder / "ranking.json").is_file()
        foreign.unlink()
    assert not SearchDirectory(folder).is_finished(other, BUDGET, overwrite=True)
    assert [entry.name for entry in folder.iterdir()] == ["search.yaml"]
