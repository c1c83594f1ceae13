"""`tune.py --chief` and `--worker-of`: real processes on loopback, with folders of their own; a worker is killed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from scripts import tune
from tests.processes import processes_naming, wait_until
from tests.tuning.cluster.chiefs import free_address

ROOT = Path(__file__).parents[3]
RECIPE = {"epochs": 1, "blocks": 1, "filters": 4, "learning_rate": {"float": [1e-4, 1e-2], "log": True}}


@pytest.fixture(scope="module")
def arguments(digits, tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("together")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    return ["--data", digits, "--config", str(folder / "recipe.yaml"), "--trials", "6"]


@contextlib.contextmanager
def started(*arguments: str):
    """A command in a session of its own, none of whose processes is left after the block."""
    process = subprocess.Popen(
        [sys.executable, tune.__file__, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


@pytest.mark.slow
def test_a_search_on_three_machines_ends_whole_when_a_worker_and_the_chief_are_killed(arguments, tmp_path):
    address, chief_out = free_address(), tmp_path / "chief"
    serve = [*arguments, "--silent-seconds", "5", "--out", str(chief_out), "--chief", address, "--then-train"]
    work = [*arguments, "--silent-seconds", "90", "--parallel", "1", "--worker-of", address, "--out"]
    journal = chief_out / "journal.jsonl"

    def ended() -> int:
        return journal.read_text().count('"ended"') if journal.exists() else 0

    with (
        started(*serve) as chief,
        started(*work, str(tmp_path / "first")) as first,
        started(*work, str(tmp_path / "second")) as second,
    ):
        wait_until(lambda: list((tmp_path / "first").glob("trials/*/run")))
        (lost,) = (tmp_path / "first").glob("trials/*/run")
        first.kill()
        first.wait()
        wait_until(lambda: ended() >= 2)
        chief.kill()
        chief.wait()
        with started(*serve) as chief:
            said, _ = chief.communicate(timeout=500)
            assert chief.returncode == 0, said
            said_there, _ = second.communicate(timeout=60)
            assert second.returncode == 0, said_there
    ranking = json.loads((chief_out / "ranking.json").read_text())
    assert sorted(entry["number"] for entry in ranking["ranking"]) == [1, 2, 3, 4, 5, 6]
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    for kind in ("proposed", "ended"):
        assert sorted(event[kind]["number"] for event in events if kind in event) == [1, 2, 3, 4, 5, 6]
    number = int(lost.parent.name)
    assert (tmp_path / "second" / "trials" / f"{number:02}" / "result.json").is_file()
    for recipe in (tmp_path / "second").glob("trials/*/recipe.yaml"):
        assert (chief_out / "trials" / recipe.parent.name / "recipe.yaml").read_text() == recipe.read_text()
    assert len(list(chief_out.glob("tensorboard/*/events.*"))) == 6
    (finalist,) = json.loads((chief_out / "final.json").read_text())["finalists"]
    assert finalist["trial"] == ranking["ranking"][0]["number"] and finalist["test"]
    assert (chief_out / "best.yaml").is_file()
    wait_until(lambda: processes_naming(tmp_path) == [], seconds=40)


def test_a_chief_that_cannot_be_reached_is_one_line(arguments, tmp_path):
    command = [*arguments, "--silent-seconds", "1", "--out", str(tmp_path / "out")]
    with started(*command, "--worker-of", free_address()) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 2 and said.count("\n") == 1
    assert said.startswith("error: Expected --worker-of to name a chief that can be reached within 1 s. Received:")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_worker_of_other_options_is_refused_with_the_differences_and_goes(arguments, tmp_path):
    address = free_address()
    with started(*arguments, "--out", str(tmp_path / "chief"), "--chief", address) as chief:
        other = [*arguments, "--epochs", "2", "--silent-seconds", "90", "--out", str(tmp_path / "out")]
        with started(*other, "--worker-of", address) as process:
            said, _ = process.communicate(timeout=200)
        assert process.returncode == 2 and said.count("\n") == 1
        assert "Differing: epochs 1 there, 2 here." in said
        assert not (tmp_path / "out").exists()
        chief.send_signal(signal.SIGINT)
        said, _ = chief.communicate(timeout=60)
        assert chief.returncode == 130 and said.endswith("interrupted\n")
