"""The search, with a train command that only pretends to train."""

import json
import os
import sys
import textwrap
from pathlib import Path

import pytest

from base.errors import InputError
from tuning.parameters import Choice
from tuning.plan import SearchPlan
from tuning.ranking import ranked, write_ranking
from tuning.search import search
from tuning.search_directory import SearchDirectory
from tuning.trial import best_epoch

# Blocks say how the trial goes; every call leaves a line in "calls".
TRAIN = """
    import os, pathlib, sys, yaml
    recipe, run = sys.argv[sys.argv.index("--config") + 1], pathlib.Path(sys.argv[sys.argv.index("--run") + 1])
    blocks = yaml.safe_load(open(recipe))["blocks"]
    with open("CALLS", "a") as calls:
        print(blocks, file=calls)
    run.mkdir(parents=True, exist_ok=True)
    rows = [(1, "NaN" if blocks == 4 else 9), (2, "NaN" if blocks == 4 else 1 / blocks), (3, "NaN")]
    row = '{"epoch": %s, "val_loss": %s, "val_accuracy": 0.5}\\n'
    (run / "metrics.jsonl").write_text("".join(row % pair for pair in rows))
    if blocks == 2:
        print("working"), sys.exit("error: Expected fewer --blocks.")
    if blocks == 3:
        os.kill(os.getpid(), 9)
"""


@pytest.fixture
def train_command(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(textwrap.dedent(TRAIN).replace("CALLS", str(tmp_path / "calls")))
    return [sys.executable, str(script)]


def plan(*, trials: int, blocks: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8), seed: int = 0) -> SearchPlan:
    options = {"blocks": 3, "epochs": 7, "seed": seed, "data": "/data", "replicas": None, "evaluate_on": None}
    space = (Choice(name="blocks", values=blocks),)
    return SearchPlan(space=space, options=options, trials=trials, seed=seed, data_fingerprint="abc")


def run(a_plan: SearchPlan, folder: Path, train_command, stop_after: int | None = None) -> list:
    directory, results = SearchDirectory(folder), []
    with directory.locked(lambda: None) as lock:
        assert not directory.is_finished(a_plan.identity(), overwrite=False)
        for result in search(a_plan, directory, train_command, lock):
            results.append(result)
            if len(results) == stop_after:
                return results
    write_ranking(a_plan, directory, results)
    return results


def calls(tmp_path: Path) -> list[int]:
    return [int(text) for text in (tmp_path / "calls").read_text().split()]


def test_every_failure_is_recorded_with_its_reason_and_the_search_goes_on(tmp_path, train_command):
    results = run(plan(trials=8), tmp_path / "out", train_command)
    reasons = {result.values["blocks"]: result.reason for result in results}
    assert reasons == {
        **dict.fromkeys((1, 5, 6, 7, 8), ""),
        2: "Expected fewer --blocks.",
        3: "ended by SIGKILL",
        4: "no epoch has a finite val_loss",
    }
    refused = next(result for result in results if result.values["blocks"] == 2)
    assert "working" in (SearchDirectory(tmp_path / "out").trial(refused.number) / "log.txt").read_text()
    assert [result.values["blocks"] for result in ranked(results)] == [8, 7, 6, 5, 1]
    content = json.loads((tmp_path / "out" / "ranking.json").read_text())
    assert [entry["val_loss"] for entry in content["ranking"]] == [1 / 8, 1 / 7, 1 / 6, 1 / 5, 1]
    assert {entry["reason"] for entry in content["failed"]} == {text for text in reasons.values() if text}


def test_a_search_of_nothing_but_failures_comes_to_its_end(tmp_path, train_command):
    results = run(plan(trials=3, blocks=(2, 3, 4)), tmp_path / "out", train_command)
    assert len(results) == 3
    assert ranked(results) == []
    assert not (tmp_path / "out" / "best.yaml").exists()


def test_an_interrupted_search_repeats_no_ended_trial_and_ends_as_if_never_interrupted(tmp_path, train_command):
    run(plan(trials=6), tmp_path / "cut", train_command, stop_after=2)
    half_done = SearchDirectory(tmp_path / "cut").trial(3)
    (half_done / "run").mkdir(parents=True)
    results = run(plan(trials=6), tmp_path / "cut", train_command)
    assert calls(tmp_path) == [result.values["blocks"] for result in results]
    whole = run(plan(trials=6), tmp_path / "whole", train_command)
    assert [(result.values, result.val_loss) for result in results] == [
        (other.values, other.val_loss) for other in whole
    ]
    assert SearchDirectory(tmp_path / "cut").is_finished(plan(trials=6).identity(), overwrite=False)
    assert (tmp_path / "cut" / "best.yaml").read_text() == (tmp_path / "whole" / "best.yaml").read_text()


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
    asked = plan(trials=2).identity()
    assert not directory.is_finished(asked, overwrite=False)
    with pytest.raises(InputError, match=r"trials 2 there, 3 asked; data_fingerprint 'abc' there, 'abd' asked\."):
        directory.is_finished({**asked, "trials": 3, "data_fingerprint": "abd"}, overwrite=False)


def test_overwrite_replaces_a_search_and_nothing_else(tmp_path, train_command):
    folder = tmp_path / "out"
    run(plan(trials=1, blocks=(1, 5)), folder, train_command)
    other = plan(trials=2).identity()
    for foreign in (folder / "notes.txt", folder / "trials" / "01" / "notes.txt"):
        foreign.write_text("mine")
        with pytest.raises(InputError, match=r"notes\.txt"):
            SearchDirectory(folder).is_finished(other, overwrite=True)
        assert (folder / "ranking.json").is_file()
        foreign.unlink()
    assert not SearchDirectory(folder).is_finished(other, overwrite=True)
    assert [entry.name for entry in folder.iterdir()] == ["search.yaml"]


def test_a_trial_is_judged_by_its_best_epoch_and_not_at_all_without_a_loss():
    rows = [{"epoch": 1, "val_loss": 0.3}, {"epoch": 2, "val_loss": 0.2}, {"epoch": 3, "val_loss": 0.2}]
    assert best_epoch(rows)["epoch"] == 2
    assert best_epoch([{"epoch": 1, "val_loss": float("nan")}, {"epoch": 2}]) is None
