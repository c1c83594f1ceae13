"""Conversions that are killed for real, or run out of room, and go on."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import types

import pytest

from base.errors import InputError
from pipelines.conversion import shards
from pipelines.conversion.workplace import Workplace, claimed

ROOT = pathlib.Path(__file__).parents[3]
SHARD_BYTES = 2000
# Imports TensorFlow once, and forks a process for each command that it is sent, which forks workers, as it does when it
# is run by itself. The command has shards of a few images; it may be limited in the size of files, and may send itself
# a signal before or after a certain call.
SERVER = f"""
import json, os, resource, sys
import tensorflow, tensorflow_datasets
from pipelines.conversion import convert
from pipelines.conversion import finish
from pipelines.conversion import journal
from pipelines.conversion import shards
from pipelines.conversion import workplace
from scripts import build_tfrecords

shards.SHARD_BYTES = {SHARD_BYTES}
convert._CHUNK_IMAGES = 4

def signalled(number, when, place, name, times):
    module = eval(place)
    real = getattr(module, name)
    def counted(*arguments, **options):
        nonlocal times
        times -= 1
        if times == 0 and when == "before":
            os.kill(os.getpid(), number)
        result = real(*arguments, **options)
        if times == 0 and when == "after":
            os.kill(os.getpid(), number)
        return result
    setattr(module, name, counted)

for line in sys.stdin:
    command = json.loads(line)
    child = os.fork()
    if child == 0:
        errors = os.open(command["errors"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(errors, 2)
        os.dup2(errors, 1)
        if command["limit"]:
            resource.setrlimit(resource.RLIMIT_FSIZE, (command["limit"],) * 2)
        if command["moment"]:
            signalled(command["signal"], *command["moment"])
        os._exit(build_tfrecords.main(command["arguments"]))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
MOMENTS = {
    "in the middle": ("after", "journal", "append", 3),
    "between a shard and its line in the journal": ("before", "journal", "append", 5),
    "while the next split is written": ("after", "journal", "append", 13),
    "while shards get their names": ("before", "finish.os", "replace", 40),
    "before the manifest": ("after", "finish", "write_tfds_metadata", 1),
    "when the folder has its name": ("before", "workplace.Workplace", "mend", 2),
}


@pytest.fixture(scope="module")
def server():
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def run(server, tmp_path_factory):
    def run(source, out, moment=None, number=signal.SIGKILL, limit=None):
        errors = tmp_path_factory.mktemp("errors") / "stderr"
        command = {
            "arguments": [str(source), "--out", str(out), "--on-error", "skip", "--quiet"],
            "errors": str(errors),
            "moment": moment,
            "signal": int(number),
            "limit": limit,
        }
        print(json.dumps(command), file=server.stdin, flush=True)
        code = int(server.stdout.readline())
        return types.SimpleNamespace(returncode=code, stderr=errors.read_text())

    return run


def _content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def source(tmp_path, fill):
    fill(tmp_path / "in", {"a": 60, "b": 60})
    (tmp_path / "in/a/broken.png").write_bytes(b"text")
    return tmp_path / "in"


@pytest.fixture
def whole(tmp_path, source, convert_into, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_BYTES", SHARD_BYTES)
    convert_into(source, tmp_path / "whole/out")
    return _content(tmp_path / "whole/out")


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_a_killed_conversion_goes_on_and_ends_with_the_same_bytes(tmp_path, source, whole, convert_into, run, moment):
    out = tmp_path / "out"
    killed = run(source, out, moment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    finished = {path: path.stat().st_mtime_ns for path in Workplace(out).observations.glob("*")}
    made = []
    real = shards.ShardWriter._seal
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards.ShardWriter, "_seal", lambda *a: (made.append(a[2]), real(*a))[1])
        if not out.exists():
            convert_into(source, out)
        else:
            with claimed(out):  # what the command begins with
                pass
    assert _content(out) == whole
    assert sorted(os.listdir(tmp_path)) == ["in", "out", "whole"]
    assert len(made) + len(finished) <= len([name for name in whole if "tfrecord" in name]) + 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_what_is_finished_and_says_so(tmp_path, source, whole, convert_into, run, number, code):
    stopped = run(source, tmp_path / "out", MOMENTS["in the middle"], number)
    assert stopped.returncode == code and "the same command goes on" in stopped.stderr, stopped.stderr
    assert Workplace(tmp_path / "out").journal.exists() and not (tmp_path / ".out.lock").exists()
    convert_into(source, tmp_path / "out")
    assert _content(tmp_path / "out") == whole


def test_a_full_disk_is_one_clear_line_and_the_conversion_goes_on_when_there_is_room(
    tmp_path, source, whole, convert_into, run
):
    for limit in (5000, 1000):  # too little for the journal of all shards, and for the images of one
        full = run(source, tmp_path / "out", limit=limit)
        error = full.stderr.splitlines()[-1]
        assert full.returncode == 2 and "Traceback" not in full.stderr, full.stderr
        assert error.startswith("error: Expected room to write") and "the same command again" in error
        assert not (tmp_path / "out").exists()
        assert len(list(Workplace(tmp_path / "out").observations.iterdir())) > 5, "finished shards stay"
    convert_into(source, tmp_path / "out")
    assert _content(tmp_path / "out") == whole


def test_a_shard_that_was_damaged_meanwhile_is_made_again_with_those_after_it(
    tmp_path, source, whole, convert_into, run
):
    run(source, tmp_path / "out", MOMENTS["while the next split is written"])
    shard = Workplace(tmp_path / "out").shard("train", 4)
    shard.write_bytes(shard.read_bytes()[::-1])
    convert_into(source, tmp_path / "out")
    assert _content(tmp_path / "out") == whole


def test_leftovers_of_another_command_or_another_source_are_refused_unless_overwritten(
    tmp_path, source, whole, convert_into, run
):
    run(source, tmp_path / "out", MOMENTS["in the middle"])
    with pytest.raises(InputError, match=r"another command .*\(seed differ\)"):
        convert_into(source, tmp_path / "out", seed=1)
    (source / "a/broken.png").rename(source / "a/renamed.png")
    with pytest.raises(InputError, match="source as it was"):
        convert_into(source, tmp_path / "out")
    (source / "a/renamed.png").rename(source / "a/broken.png")
    assert Workplace(tmp_path / "out").journal.exists()
    convert_into(source, tmp_path / "out", seed=1, overwrite=True)
    assert not Workplace(tmp_path / "out").folder.exists() and _content(tmp_path / "out") != whole


def test_two_conversions_into_one_folder_do_not_meet(tmp_path, source, run):
    with claimed(tmp_path / "out"):
        second = run(source, tmp_path / "out")
    assert second.returncode == 2 and second.stderr.count("\n") == 1 and "no other conversion" in second.stderr
    assert os.listdir(tmp_path) == ["in"]


def test_a_dataset_whose_replacement_was_killed_half_way_comes_back(tmp_path):
    place = Workplace(tmp_path / "set")
    place.begin()
    (tmp_path / "set").mkdir()
    (tmp_path / "set/old").write_text("old")
    os.replace(tmp_path / "set", place.folder / "replaced")
    with claimed(tmp_path / "set") as claim:
        assert (tmp_path / "set/old").read_text() == "old"
        (claim.dataset / "new").write_text("new")
        claim.publish()
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["set", "set/new"]
