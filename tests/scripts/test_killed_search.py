"""A search that is killed, and its trials, with real trainings: nothing is lost, and nothing is left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts import build_tfrecords, tune

TUNE = [sys.executable, tune.__file__]
TRIALS = 3


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("data") / "digits"
    assert build_tfrecords.main(["digits", "--out", str(folder), "--quiet"]) == 0
    return str(folder)


def command(data: str, out: Path) -> list[str]:
    small = ["--blocks", "1", "--filters", "4", "--dense-layers", "0", "--epochs", "100", "--optimizer", "adam"]
    return [*TUNE, "--data", data, "--out", str(out), "--trials", str(TRIALS), "--parallel", "1", *small]


@pytest.mark.slow
def test_a_search_whose_trials_and_itself_are_killed_ends_as_if_nothing_had_been(data, tmp_path):
    out = tmp_path / "killed"
    _start_and_kill(command(data, out), out, 1, whom=trial_of)
    assert not (out / "ranking.json").exists()
    _start_and_kill(command(data, out), out, 2, whom=lambda search: search.pid)
    ended = {path: path.stat().st_mtime_ns for path in out.glob("trials/*/result.json")}
    subprocess.run(command(data, out), check=True, capture_output=True)
    assert {path: path.stat().st_mtime_ns for path in ended} == ended
    subprocess.run(command(data, tmp_path / "whole"), check=True, capture_output=True)
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
        _wait_until(lambda: list(checkpoints.glob("[!.]*")))
        victim = whom(search)
        os.kill(victim, signal.SIGKILL)
        if victim != search.pid:
            log = out / "trials" / f"{number:02}" / "log.txt"
            _wait_until(lambda: "going on" in log.read_text())
    finally:
        search.kill()
        search.wait()
    _wait_until(lambda: not _of(out))


def _children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def _of(out: Path) -> list[int]:
    """Living processes whose command line names the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if os.fsencode(out) in _line(int(entry.name)):
                    found.append(int(entry.name))
            except OSError:
                pass
    return found


def _wait_until(holds, seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)
