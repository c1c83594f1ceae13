"""A run that is stopped goes on with the same command, and ends with the bits of an undisturbed one."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from scripts import train
from tests.scripts.conftest import SMALL

ROOT = Path(__file__).parents[3]
EVERYTHING = [*SMALL, "--augment", "light", "--dropout", "0.2", "--batch-norm", "--ema", "0.9", "--accumulate", "2"]
EVERYTHING += ["--schedule", "cosine", "--warmup", "3 steps", "--checkpoint-steps", "1", "--early-stopping", "5"]


def start(data, run, *arguments):
    command = [sys.executable, "scripts/train.py", "--data", data, "--run", run, *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([str(part) for part in command], cwd=ROOT, text=True, **pipes)


def newest(run):
    """The arrays of the newest checkpoint."""
    with np.load(sorted((run / "checkpoints").iterdir())[-1]) as saved:
        return {name: saved[name] for name in saved.files if name != "facts"}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


def measured(run):
    """The rows of metrics.jsonl without what the clock says."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("images_per_second", "waiting")} for row in rows]


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_with_the_bits_of_an_undisturbed_one(data, tmp_path):
    arguments = [*EVERYTHING, "--epochs", "3"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    began = time.monotonic()
    assert start(data, whole, *arguments).wait() == 0
    seconds = time.monotonic() - began
    for _ in range(3):
        process = start(data, killed, *arguments)
        time.sleep(random.uniform(0.4, 0.95) * seconds)  # the rest is the import of TensorFlow
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert start(data, killed, *arguments).wait() == 0
    assert_same(newest(whole), newest(killed))
    assert measured(whole) == measured(killed)
    models = [keras.models.load_model(run / "model.keras").get_weights() for run in (whole, killed)]
    for a, b in zip(*models, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_signal_saves_the_run_within_an_epoch_and_the_same_command_goes_on(data, tmp_path, number, code):
    run, arguments = tmp_path / "run", [*SMALL, "--epochs", "100000", "--steps-per-call", "2"]
    process = start(data, run, *arguments)
    while not (run / "metrics.jsonl").exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(number)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == code and "Traceback" not in errors
    clock = json.loads((run / "clock.json").read_text())
    assert clock["first_step"] < clock["last_step"]
    step = int(said.rpartition("saved at step ")[2].partition(":")[0])
    assert not (run / "model.keras").exists()
    assert [path.name for path in (run / "checkpoints").iterdir()][-1:] and step > 0
    again = start(data, run, *arguments)
    lines = iter(again.stdout.readline, "")
    assert any(f"from step {step:,}, in epoch" in line for line in lines)
    again.kill()
    again.communicate()


def test_more_epochs_make_a_longer_run_and_another_run_starts_from_it(data, tmp_path, capsys):
    def run(folder, *arguments):
        argv = ["--data", str(data), "--run", str(tmp_path / folder), *SMALL, "--dropout", "0.2", *arguments]
        return train.main(argv), capsys.readouterr()

    assert run("whole", "--epochs", "3")[0] == 0
    assert run("longer", "--epochs", "1")[0] == 0
    code, said = run("longer", "--epochs", "3")
    assert code == 0 and "from step 4, in epoch 2" in said.out
    assert_same(newest(tmp_path / "whole"), newest(tmp_path / "longer"))
    assert measured(tmp_path / "whole") == measured(tmp_path / "longer")
    code, said = run("longer", "--epochs", "2")
    assert code == 2 and "epochs 3 there, 2 asked" in said.err

    slower = ["--start-from", str(tmp_path / "longer"), "--learning-rate", "1e-4"]
    code, said = run("slower", "--epochs", "4", *slower)
    assert code == 0 and "from step 11, in epoch 4" in said.out
    assert [row["epoch"] for row in measured(tmp_path / "slower")] == [4]
    assert measured(tmp_path / "slower")[0]["learning_rate"] == pytest.approx(1e-4)
    code, said = run("none", "--epochs", "3", *slower)
    assert code == 2 and "Expected --epochs above 3" in said.err and not (tmp_path / "none").exists()
    code, said = run("other", "--epochs", "5", "--filters", "6", *slower)
    assert code == 2 and "block_1_conv/kernel" in said.err and said.err.count("\n") == 1


def test_what_was_left_to_the_machine_stays_as_the_run_has_chosen_it(data, tmp_path, capsys):
    argv = ["--data", str(data), "--run", str(tmp_path / "run"), *SMALL]
    assert train.main([*argv, "--epochs", "1", "--precision", "float64"]) == 0
    capsys.readouterr()
    assert train.main([*argv, "--epochs", "2"]) == 0
    assert "precision  float64" in capsys.readouterr().out
    assert train.main([*argv, "--epochs", "3", "--cache", "none"]) == 2
    assert "cache 'memory' there, 'none' asked" in capsys.readouterr().err


def test_a_dry_run_goes_through_everything_and_leaves_nothing(data, tmp_path, capsys):
    argv = ["--data", str(data), "--run", str(tmp_path / "runs" / "run"), *SMALL, "--epochs", "500", "--dry-run"]
    (tmp_path / "runs").mkdir()
    assert train.main(argv) == 0
    said = capsys.readouterr().out
    assert "epoch 1/1  loss" in said and "val_loss" in said and "is removed" in said
    assert list((tmp_path / "runs").iterdir()) == []
    assert train.main([*argv, "--schedule", "cosine", "--schedule-length", "501"]) == 2
    assert "--schedule-length" in capsys.readouterr().err


def test_the_range_test_names_a_rate_at_which_the_task_is_learnt(data, tmp_path, capsys):
    picture = tmp_path / "curve.png"
    argv = ["--data", str(data), *SMALL]
    assert train.main([*argv, "--find-lr", str(picture)]) == 0
    said = capsys.readouterr().out
    assert picture.read_bytes().startswith(b"\x89PNG") and [picture] == list(tmp_path.iterdir())
    rate = said.rpartition("--learning-rate ")[2].strip()
    assert 1e-4 < float(rate) < 1
    argv += ["--run", str(tmp_path / "run"), "--learning-rate", rate, "--epochs", "8"]
    assert train.main(argv) == 0
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["accuracy"] > 0.8


@pytest.mark.slow
def test_a_full_disk_is_warned_of_and_the_run_goes_on_when_there_is_room(data, tmp_path):
    run, arguments = tmp_path / "run", [*SMALL, "--epochs", "3", "--evaluate-on", "none"]
    limit = 25  # thousand bytes a file: less than a checkpoint, more than a line of metrics
    code = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}000, {limit}000)); "
    code += "import sys; from scripts import train; sys.exit(train.main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "--data", str(data), "--run", str(run), *arguments]
    full = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    assert full.returncode == 2 and full.stderr.startswith("error: Expected room on the disk"), full.stderr
    assert full.stderr.count("\n") == 1 and "epoch 3/3" in full.stdout
    assert full.stdout.count("warning: no checkpoint") == 3 and "best.keras could not be written" in full.stdout
    assert not any((run / "checkpoints").iterdir()) and not (run / "model.keras").exists()
    assert not [path for path in run.rglob("*") if ".tmp" in path.name]
    again = start(data, run, *arguments)
    said, errors = again.communicate()
    assert again.returncode == 0, errors
    assert "epoch 1/3" in said and (run / "model.keras").is_file()
