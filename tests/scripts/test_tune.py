"""The tune command, as a user runs it: real processes, real trials of an epoch."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from scripts import train, tune
from scripts.training.options import parse_options
from tests.processes import processes_naming, wait_until

TUNE = [sys.executable, tune.__file__]


@pytest.fixture(scope="module")
def finished(digits, tmp_path_factory) -> tuple[list[str], Path, str]:
    """A search of two trials: its arguments, its folder, what it printed."""
    folder = tmp_path_factory.mktemp("search")
    (folder / "base.yaml").write_text("epochs: 1\nblocks: 1\nbatch-size: 128\n")
    arguments = ["--data", digits, "--out", str(folder / "out"), "--trials", "2", "--config", str(folder / "base.yaml")]
    arguments += ["--parallel", str(os.cpu_count())]  # a core each
    done = subprocess.run([*TUNE, *arguments, "--no-batch-norm"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # none of TensorFlow's chatter
    return [*arguments, "--no-batch-norm"], folder / "out", done.stdout


def test_a_search_prints_its_trials_and_ranks_them_by_validation_loss(finished):
    _, out, printed = finished
    ranking = json.loads((out / "ranking.json").read_text())["ranking"]
    assert sorted(entry["number"] for entry in ranking) == [1, 2]
    assert ranking[0]["score"] < ranking[1]["score"]
    for entry in ranking:
        rows = (out / "trials" / f"{entry['number']:02}" / "run" / "metrics.jsonl").read_text().splitlines()
        assert entry["score"] == min(json.loads(row)["val_loss"] for row in rows)
        assert f"trial {entry['number']}/2  val_loss {entry['score']:.4f}" in printed
    rows = [line.split() for line in printed.partition("rank")[2].splitlines()]
    assert [row[1] for row in rows if row[:1] in (["1"], ["2"])] == [str(entry["number"]) for entry in ranking]


def test_what_computes_on_one_thread_is_not_taken_for_waiting(finished):
    _, out, _ = finished
    for number in ("01", "02"):
        assert yaml.safe_load((out / "trials" / number / "recipe.yaml").read_text())["inter_op_threads"] == 1
        row = json.loads((out / "trials" / number / "run" / "metrics.jsonl").read_text())
        assert row["waiting"] < 0.5


def test_trials_never_look_at_the_test_split(finished):
    _, out, _ = finished
    for number in ("01", "02"):
        assert yaml.safe_load((out / "trials" / number / "recipe.yaml").read_text())["evaluate_on"] == "none"
        assert not (out / "trials" / number / "run" / "evaluation.json").exists()


def test_options_given_in_the_recipe_and_on_the_command_line_are_fixed(finished):
    _, out, _ = finished
    search = yaml.safe_load((out / "search.yaml").read_text())
    searched = {line.partition(":")[0] for line in search["searched"]}
    assert "filters" in searched
    for name, value in {"epochs": 1, "blocks": 1, "batch_size": 128, "batch_norm": False}.items():
        assert name not in searched
        assert search[name] == value
        assert yaml.safe_load((out / "best.yaml").read_text())[name] == value


def test_a_trials_recipe_alone_gives_its_score_bit_for_bit(finished, tmp_path):
    _, out, _ = finished
    best = json.loads((out / "ranking.json").read_text())["ranking"][0]
    recipe = out / "trials" / f"{best['number']:02}" / "recipe.yaml"
    command = [sys.executable, train.__file__, "--config", str(recipe), "--run", str(tmp_path / "run")]
    subprocess.run(command, check=True, capture_output=True)
    assert json.loads((tmp_path / "run" / "metrics.jsonl").read_text())["val_loss"] == best["score"]


def test_best_yaml_is_a_recipe_of_the_best_trial_for_any_data_and_machine(finished):
    _, out, _ = finished
    recipe = yaml.safe_load((out / "best.yaml").read_text())
    best = json.loads((out / "ranking.json").read_text())["ranking"][0]
    own = {"data", "run", "out", "overwrite", "evaluate_on", "intra_op_threads", "memory_budget", "trials", "parallel"}
    assert not own & recipe.keys()
    assert best["values"].items() <= recipe.items()
    assert parse_options(["--config", str(out / "best.yaml"), "--data", "D", "--run", "R"])["training"].epochs == 1


def test_a_search_leaves_its_report_and_its_curves(finished):
    _, out, _ = finished
    assert "trial" in (out / "report.html").read_text()
    best = json.loads((out / "ranking.json").read_text())["ranking"][0]
    assert list((out / "tensorboard" / best["label"]).glob("events*"))


def test_the_same_command_again_reports_and_changes_nothing(finished, capsys):
    arguments, out, printed = finished
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert tune.main(arguments) == 0
    again = capsys.readouterr().out.splitlines()
    assert again[0].startswith("finished already")
    assert again[1:] == printed.splitlines()[-len(again) + 1 :]
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_other_options_in_the_same_folder_are_refused(finished, capsys):
    arguments, _, _ = finished
    assert tune.main([*arguments, "--epochs", "3", "--seed", "4"]) == 2
    error = capsys.readouterr().err
    assert "epochs 1 there, 3 asked; seed 0 there, 4 asked" in error
    assert error.count("\n") == 1


def test_a_search_without_any_success_says_why_and_exits_with_2(digits, tmp_path):
    out = tmp_path / "out"
    options = ["--data", digits, "--out", str(out), "--trials", "1", "--blocks", "6"]  # of images of 8x8
    done = subprocess.run([*TUNE, *options], capture_output=True, text=True)
    assert done.returncode == 2
    assert "trial 1 was impossible: Expected feature maps of at least 2x2" in done.stdout
    assert done.stderr == (
        "error: Expected one of 1 trials to succeed. Mend what failed, and search anew with --overwrite.\n"
    )
    assert not (out / "best.yaml").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_search_leaves_no_process_behind(digits, tmp_path, number, status):
    out = tmp_path / "out"
    options = ["--data", digits, "--out", str(out), "--trials", "2", "--epochs", "1000000", "--parallel", "1"]
    process = subprocess.Popen([*TUNE, *options], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        wait_until((out / "trials" / "01" / "run" / "metrics.jsonl").is_file)
        assert len(processes_naming(out)) == 3  # the search, its trial, the guardian of that
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
        assert process.returncode == status
        assert error.count("\n") == 1
        assert processes_naming(out) == []
    finally:  # a test that fails leaves nothing behind either
        for left in processes_naming(out):
            os.kill(left, signal.SIGKILL)
    assert not (out / "trials" / "01" / "result.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"--data": "nowhere"}, "Expected a dataset folder with a manifest.json. Received: folder='nowhere'"),
        ({"--trials": "0"}, "Expected --trials of at least 1. Received: trials=0."),
        ({"--trails": "3"}, "Did you mean '--trials'?"),
        ({"--dropout": "1"}, "Expected --dropout from 0 to below 1"),
    ],
)
def test_bad_input_is_refused_in_one_line_and_leaves_nothing(digits, tmp_path, capsys, options, message):
    asked = {"--data": digits, "--out": str(tmp_path / "out"), "--trials": "2", **options}
    assert tune.main([text for pair in asked.items() for text in pair]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_data_set_without_validation_is_refused(digits, tmp_path, capsys):
    shutil.copytree(digits, tmp_path / "data")
    manifest = json.loads((tmp_path / "data" / "manifest.json").read_text())
    del manifest["splits"]["validation"]
    (tmp_path / "data" / "manifest.json").write_text(json.dumps(manifest))
    assert tune.main(["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--trials", "2"]) == 2
    assert "Received: split='validation'" in capsys.readouterr().err


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_a_folder_that_is_no_search_is_never_touched(digits, tmp_path, capsys, overwrite):
    (tmp_path / "photo.png").write_text("mine")
    assert tune.main(["--data", digits, "--out", str(tmp_path), "--trials", "2", *overwrite]) == 2
    assert "Expected --out to name a new folder or a search's" in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["photo.png"]
