"""From search to model, as a user runs it: real trainings of an epoch."""

import json
import shutil
import signal
import subprocess
import sys

import pytest
import yaml

from scripts import tune
from tests.processes import wait_until

TUNE = [sys.executable, tune.__file__]


@pytest.mark.slow
def test_the_best_trial_becomes_a_model_judged_on_the_test_split_whatever_is_killed(digits, tmp_path):
    out, recipe = tmp_path / "out", tmp_path / "base.yaml"
    recipe.write_text("epochs: 1\nblocks: 1\nbatch-size: 128\n")
    arguments = ["--data", digits, "--out", str(out), "--trials", "2", "--config", str(recipe), "--parallel", "2"]
    command = [*TUNE, *arguments, "--then-train", "--seeds", "2", "--objective", "macro_roc_auc"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    wait_until(lambda: process.poll() is not None or list(out.glob("final/*/*/run/metrics.jsonl")))
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = {path: path.stat().st_mtime_ns for path in out.glob("final/*/*/run/model.keras")}
    assert len(finished) < 2 and not (out / "final.json").exists()

    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0 and again.stderr == ""
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    content = json.loads((out / "final.json").read_text())
    ranking = json.loads((out / "ranking.json").read_text())["ranking"]
    (best,) = content["finalists"]
    assert best["trial"] == ranking[0]["number"] and best["search"]["macro_roc_auc"]["mean"] == ranking[0]["score"]
    assert [run["seed"] for run in best["runs"]] == [1, 2]  # the search's was 0
    for run in best["runs"]:
        folder = out / "final" / f"{best['trial']:02}-{best['label']}" / f"seed-{run['seed']}"
        assert yaml.safe_load((folder / "recipe.yaml").read_text())["seed"] == run["seed"]
        evaluation = json.loads((folder / "run" / "evaluation.json").read_text())
        assert evaluation["split"] == "test" and evaluation["examples"] == run["examples"]
        assert run["test"]["macro_roc_auc"] == evaluation["metrics"]["macro_roc_auc"]
        judged = json.loads((folder / "run" / "evaluation-validation.json").read_text())
        assert run["validation"]["macro_roc_auc"] == judged["metrics"]["macro_roc_auc"]
        assert run["validation"]["val_accuracy"] == judged["metrics"]["accuracy"]  # of the weights that are kept
    mean = sum(run["test"]["accuracy"] for run in best["runs"]) / 2
    assert best["test"]["accuracy"]["mean"] == pytest.approx(mean)
    assert f"{mean:.4f} ± {best['test']['accuracy']['deviation']:.4f}" in again.stdout
    assert "winner's curse" in again.stdout

    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    third = subprocess.run(command, capture_output=True, text=True)
    assert third.returncode == 0 and third.stdout.endswith(again.stdout[again.stdout.index("seeds  metric") :])
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--top", "2"], "Expected --then-train with --top. Received: top=2."),
        (["--then-train", "--top", "3"], "Expected --top of at most the 2 trials. Received: top=3."),
        (["--then-train", "--seeds", "0"], "Expected --seeds of at least 1. Received: seeds=0."),
    ],
)
def test_what_could_not_follow_is_refused_in_one_line_before_the_search(digits, tmp_path, capsys, given, message):
    assert tune.main(["--data", digits, "--out", str(tmp_path / "out"), "--trials", "2", *given]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"
    assert not (tmp_path / "out").exists()


def test_without_a_test_split_nothing_can_be_judged(digits, tmp_path, capsys):
    shutil.copytree(digits, tmp_path / "data")
    path = tmp_path / "data" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["splits"]["test"]
    path.write_text(json.dumps(manifest))
    arguments = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--trials", "2", "--then-train"]
    assert tune.main(arguments) == 2
    assert "with the split test with --then-train" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
