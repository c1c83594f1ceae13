"""Processes that hold the same bytes: real ones, one of which is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pipelines.reading.held import held_bytes
from tests.processes import wait_until

ROOT = Path(__file__).parents[3]
ASK = """
import pathlib, sys, time
from pipelines.reading.held import held_bytes
folder, name = pathlib.Path(sys.argv[1]), sys.argv[2]
def fill(memory):
    (folder / f"filled-by-{name}").touch()
    time.sleep(float(sys.argv[3]))
    memory[:] = 7
memory = held_bytes(folder, "split", 1 << 20, fill)
(folder / f"{name}.sum").write_text(str(int(memory.sum())))
"""


def ask(folder, name, seconds=0.0):
    command = [sys.executable, "-c", ASK, str(folder), name, str(seconds)]
    return subprocess.Popen(command, cwd=ROOT)


def test_the_first_makes_them_and_the_others_map_what_is_there(tmp_path):
    processes = [ask(tmp_path, name, 0.5) for name in "abc"]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert len(list(tmp_path.glob("filled-by-*"))) == 1
    assert [(tmp_path / f"{name}.sum").read_text() for name in "abc"] == [str(7 << 20)] * 3
    assert not list(tmp_path.glob(".*.tmp"))


def test_another_takes_over_from_one_that_was_killed(tmp_path):
    first = ask(tmp_path, "a", 600)
    wait_until((tmp_path / "filled-by-a").exists, 60)
    second = ask(tmp_path, "b")
    time.sleep(0.5)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert second.wait(60) == 0
    assert (tmp_path / "filled-by-b").exists() and (tmp_path / "b.sum").read_text() == str(7 << 20)
    assert not list(tmp_path.glob(".*.tmp"))  # nor what the killed one had begun


def test_what_is_written_is_seen_by_nobody_else_and_the_pages_are_those_of_the_file(tmp_path):
    one, other = (held_bytes(tmp_path, "split", 1 << 20, lambda memory: memory.fill(7)) for _ in range(2))
    one[0] = 9
    assert other[0] == 7 and held_bytes(tmp_path, "split", 1 << 20, pytest.fail)[0] == 7
    assert one.ctypes.data % 64 == 0
    mapped = [line for line in Path("/proc/self/maps").read_text().splitlines() if str(tmp_path / "split") in line]
    assert mapped


def test_a_failure_leaves_nothing_and_a_folder_without_room_is_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError):
        held_bytes(tmp_path, "split", 8, lambda memory: 1 / 0)
    assert {path.name for path in tmp_path.iterdir()} == {".split.lock"}
    with pytest.raises(OSError, match="No space left"):
        held_bytes(tmp_path, "split", 1 << 60, pytest.fail)
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        held_bytes(tmp_path / "file", "split", 8, pytest.fail)
    assert np.array_equal(held_bytes(tmp_path, "split", 8, lambda memory: memory.fill(1)), np.ones(8, np.uint8))
    os.truncate(tmp_path / "split", 4)  # of another size than it was: made anew
    assert held_bytes(tmp_path, "split", 8, lambda memory: memory.fill(2))[0] == 2
