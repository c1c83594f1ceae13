"""A trial with the real train command."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from scripts import build_tfrecords
from tuning.slots import Slot
from tuning.supervisor import Supervisor
from tuning.trial import end_trial, start_trial

ROOT = Path(__file__).parents[2]
TRAIN = [sys.executable, str(ROOT / "scripts" / "train.py")]
RECIPE = {"epochs": 8, "blocks": 1, "filters": 4, "dense_layers": 0, "batch_size": 64, "seed": 5, "evaluate_on": "none"}
ONE_CORE = Slot(number=1, options={"intra_op_threads": 1, "inter_op_threads": 1}, cores=(min(os.sched_getaffinity(0)),))


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("data") / "digits"
    assert build_tfrecords.main(["digits", "--out", str(folder), "--quiet"]) == 0
    return str(folder)


def trial_of(folder: Path, recipe: dict, slot: Slot, *, kill_after_epoch: int | None = None):
    """The result of a trial; None where it was killed."""
    with Supervisor([slot]) as supervisor:
        start_trial(supervisor, slot, folder, 1, recipe, TRAIN)
        while (ended := supervisor.wait(timeout=0.02)) is None:
            checkpoints = sorted((folder / "run" / "checkpoints").glob("[!.]*"))
            if kill_after_epoch is not None and len(checkpoints) >= kill_after_epoch:
                own = [pid for pid in children(os.getpid()) for pid in children(pid)]
                os.kill(own[0], signal.SIGKILL)
    if kill_after_epoch is not None:
        assert ended.reason == "ended by SIGKILL"
        return None
    assert ended.reason == "", (folder / "log.txt").read_text()
    return end_trial(folder, {}, ended)


def children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
def test_a_trial_that_was_killed_goes_on_and_has_the_bits_of_one_that_was_not(tmp_path, digits):
    recipe = {**RECIPE, "data": digits}
    whole = trial_of(tmp_path / "whole", recipe, ONE_CORE)
    trial_of(tmp_path / "killed", recipe, ONE_CORE, kill_after_epoch=1)
    done = (tmp_path / "killed" / "run" / "metrics.jsonl").read_text().count("\n")
    assert 1 <= done < 8
    again = trial_of(tmp_path / "killed", recipe, ONE_CORE)
    assert again.val_loss == whole.val_loss
    assert "going on" in (tmp_path / "killed" / "log.txt").read_text()
    # Its recipe alone gives the same, on all cores too.
    recorded = (tmp_path / "whole" / "recipe.yaml").read_text()
    assert "intra_op_threads: 1" in recorded
    alone = trial_of(tmp_path / "alone", {**recipe, **ONE_CORE.options}, Slot(number=1))
    assert alone.val_loss == whole.val_loss
    assert (tmp_path / "alone" / "recipe.yaml").read_text() == recorded
    assert json.loads((tmp_path / "killed" / "result.json").read_text())["start_seconds"] > 0
    assert whole.memory > 10**8
