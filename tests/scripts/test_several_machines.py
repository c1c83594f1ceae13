"""`train.py --strategy multi_worker`: two processes on loopback, with folders of their own; the first one is killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.scripts.conftest import SMALL

ROOT = Path(__file__).parent.parent.parent


def free_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def start(data, runs, *arguments):
    addresses = ",".join([free_address(), free_address()])
    command = [sys.executable, "scripts/train.py", "--data", str(data), *SMALL, "--dropout", "0.2", *arguments]
    command += ["--strategy", "multi_worker", "--workers", addresses, "--worker-silence", "10"]
    environment = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    return [
        subprocess.Popen(
            [*command, "--run", str(run), "--worker-index", str(index)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index, run in enumerate(runs)
    ]


def newest(run):
    with np.load(sorted((run / "checkpoints").iterdir())[-1]) as saved:
        return {name: saved[name] for name in saved.files if name != "facts"}


@pytest.mark.slow
def test_a_run_whose_first_worker_is_killed_goes_on_and_ends_with_the_bits_of_an_undisturbed_one(data, tmp_path):
    runs = [tmp_path / "first", tmp_path / "second"]
    workers = start(data, runs, "--epochs", "20")
    while not (runs[0] / "metrics.jsonl").exists() and workers[0].poll() is None:
        time.sleep(0.05)
    workers[0].send_signal(signal.SIGKILL)
    _, said = workers[1].communicate(timeout=180)
    workers[0].communicate()
    assert workers[1].returncode == 75 and "The run is saved at step" in said and said.count("\n") == 1
    assert {path.name for path in runs[1].iterdir()} == {"checkpoints"}  # it stood in for the first one
    step = int(said.partition("saved at step ")[2].partition(":")[0])

    for worker in (again := start(data, runs, "--epochs", "20")):
        out, errors = worker.communicate(timeout=300)
        assert worker.returncode == 0, errors
        assert f"from step {step:,}, in epoch" in out
    assert "finished: the first worker has the run" in out and len(again) == 2
    whole = [tmp_path / "whole", tmp_path / "whole_second"]
    for worker in start(data, whole, "--epochs", "20"):
        worker.communicate(timeout=300)
        assert worker.returncode == 0
    resumed, undisturbed = newest(runs[0]), newest(whole[0])
    for name, value in undisturbed.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)
    lines = [(run / "metrics.jsonl").read_text().count("\n") for run in (runs[0], whole[0])]
    assert lines == [20, 20] and not whole[1].exists()
