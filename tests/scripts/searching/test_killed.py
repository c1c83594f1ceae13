"""A search that is killed, and its trials, with real trainings: nothing is lost, and nothing is left behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import tune
from tests.processes import processes_naming, wait_until

TUNE = [sys.executable, tune.__file__]
TRIALS = 3


def command(digits: str, out: Path) -> list[str]:
    small = ["--blocks", "1", "--filters", "4", "--dense-layers", "0", "--epochs", "40", "--optimizer", "adam"]
    return [*TUNE, "--data", digits, "--out", str(out), "--trials", str(TRIALS), "--parallel", "1", *small]


@pytest.mark.slow
def test_a_search_whose_trials_and_itself_are_killed_ends_as_if_nothing_had_been(digits, tmp_path):
    out = tmp_path / "killed"
    _start_and_kill(command(digits, out), out, 1, whom=trial_of)
    assert not (out / "ranking.json").exists()
    _start_and_kill(command(digits, out), out, 2, whom=lambda search: search.pid)
    ended = {path: path.stat().st_mtime_ns for path in out.glob("trials/*/result.json")}
    subprocess.run(command(digits, out), check=True, capture_output=True)
    assert {path: path.stat().st_mtime_ns for path in ended} == ended
    subprocess.run(command(digits, tmp_path / "whole"), check=True, capture_output=True)
    assert scores(out) == scores(tmp_path / "whole")
    assert (out / "best.yaml").read_bytes() == (tmp_path / "whole" / "best.yaml").read_bytes()


def scores(out: Path) -> dict:
    content = json.loads((out / "ranking.json").read_text())
    ended = content["ranking"] + content["failed"]
    assert sorted(entry["number"] for entry in ended) == list(range(1, TRIALS + 1))
    return {entry["number"]: (entry["values"], entry["score"], entry["metrics"]) for entry in map(_whole, ended)}


def _whole(entry: dict) -> dict:
    return {**entry, "metrics": [execution["metrics"] for execution in entry["executions"]]}


def trial_of(search: subprocess.Popen) -> int:
    """The train command under the search's only guardian."""
    (guardian,) = (pid for pid in _children(search.pid) if b"guardian.py" in _line(pid))
    (trial,) = _children(guardian)
    return trial


def _start_and_kill(line: list[str], out: Path, number: int, whom) -> None:
    """Starts a search, and kills a process when a trial has a checkpoint; after a trial, its search, too."""
    checkpoints = out / "trials" / f"{number:02}" / "run" / "checkpoints"
    search = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: list(checkpoints.glob("[!.]*")))
        victim = whom(search)
        os.kill(victim, signal.SIGKILL)
        if victim != search.pid:
            log = out / "trials" / f"{number:02}" / "log.txt"
            wait_until(lambda: "going on" in log.read_text())
    finally:
        search.kill()
        search.wait()
    wait_until(lambda: not processes_naming(out))


def _children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
