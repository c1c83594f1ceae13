import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from base import files
from base.errors import InputError

ROOT = Path(__file__).parents[2]


def test_a_file_that_fails_half_way_leaves_the_old_one_and_nothing_else(tmp_path):
    path = tmp_path / "value.json"
    files.write_json(path, {"a": 1})
    with pytest.raises(RuntimeError), files.whole_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_a_lock_keeps_others_out_until_it_is_freed_and_leaves_no_file(tmp_path):
    path = tmp_path / "lock"
    with files.locked(path), pytest.raises(BlockingIOError), files.locked(path):
        pass
    assert list(tmp_path.iterdir()) == []
    with files.locked(path):
        pass


def holder(path, until):
    """A process beside this one that holds the lock until it has run a statement, in the lock's folder."""
    program = f"""if True:
        import os, pathlib, sys, time
        from base.files import locked
        with locked(pathlib.Path(sys.argv[1])):
            print("held", flush=True)
            {until}"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], cwd=path.parent, env=environment, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"held\n"
    return process


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    with holder(tmp_path / "lock", "os.kill(os.getpid(), 9)"):
        pass
    assert (tmp_path / "lock").exists()
    with files.locked(tmp_path / "lock"):
        pass
    assert not (tmp_path / "lock").exists()


def test_a_lock_is_not_held_on_a_file_that_its_last_holder_has_removed(tmp_path, monkeypatch):
    """Opened before the other removed it, locked after: the name is free, and the lock worthless."""
    path, flock = tmp_path / "lock", files.fcntl.flock

    def late(descriptor, operation):
        monkeypatch.setattr(files.fcntl, "flock", flock)
        path.unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(files.fcntl, "flock", late)
    with files.locked(path), pytest.raises(BlockingIOError), files.locked(path):
        pass


def test_a_lock_is_waited_for_as_long_as_its_holder_lives_and_no_longer_than_asked(tmp_path):
    path = tmp_path / "lock"
    with holder(path, "time.sleep(0.3); pathlib.Path('over').touch()"), files.locked(path, wait=60):
        assert (tmp_path / "over").exists()
    started = time.monotonic()
    with files.locked(path), pytest.raises(BlockingIOError), files.locked(path, wait=0.2):
        pass
    assert 0.2 <= time.monotonic() - started < 60


def test_a_folder_that_can_not_be_made_is_refused_and_nothing_is_left(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "lost").symlink_to("nowhere")
    for place in ("", "new/deep"):
        files.require_writable(tmp_path / place, "out")
    for name in ("notes.txt", "lost"):
        for place in (name, f"{name}/new/deep"):
            with pytest.raises(InputError, match=rf"^Expected --out in a folder .* no_folder='{tmp_path}/{name}'"):
                files.require_writable(tmp_path / place, "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lost", "notes.txt"]


def test_a_folder_without_permission_is_refused_with_those_below_it(tmp_path, monkeypatch):
    monkeypatch.setattr(files.os, "access", lambda path, mode: path != tmp_path or not mode & os.W_OK)
    (tmp_path / "mine").mkdir()
    files.require_writable(tmp_path / "mine", "out")
    for place in ("", "new"):
        with pytest.raises(InputError, match=f"not_writable='{tmp_path}'"):
            files.require_writable(tmp_path / place, "out")
