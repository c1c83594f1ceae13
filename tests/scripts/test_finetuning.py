"""`train.py` on a backbone: what is frozen stays, what is trained learns at its rate, a stop between is no matter."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from models.backbones.finetuning import FineTuningOptions
from models.training.checkpoint import read
from models.training.feed import Feed
from models.training.schedules import ScheduleOptions, factors
from scripts import train
from scripts.training.building import schedule_of
from scripts.training.going_on import identities_of
from scripts.training.options import parse_options
from tests.scripts.training.test_going_on import measured

TINY = ["--model", "resnet-8", "--image-size", "16", "--batch-size", "29", "--checkpoints", "100"]
TWO_STAGES = [*TINY, "--stages", "head:1,finetune:2", "--unfreeze", "0.3:2", "0.6", "--ema", "0.9", "--final", "last"]
TWO_STAGES += ["--schedule", "cosine", "--head-dropout", "0.3", "--checkpoint-steps", "1"]
HEAD = ("head/kernel", "head/bias")


FEATURES = [*TINY, "--stages", "head:2,finetune:1", "--unfreeze", "0.3", "--final", "last", "--checkpoint-steps", "1"]


def run(data, path, *arguments):
    assert train.main(["--data", str(data), "--run", str(path), *arguments]) == 0


def snapshots(run):
    return [read(path)[0] for path in sorted((run / "checkpoints").iterdir())]


def weights(snapshot):
    return {name.split("/", 2)[2]: value for name, value in snapshot.arrays.items() if name.startswith("model/")}


def changed(before, after):
    """Names of the backbone's variables whose bits differ; the head's do in any case."""
    before, after = weights(before), weights(after)
    names = [name for name in before if "seed" not in name and not np.array_equal(before[name], after[name])]
    assert set(HEAD) <= set(names)
    return [name for name in names if name not in HEAD]


@pytest.fixture(scope="module")
def two_stages(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("finetuning") / "run"
    run(data, path, *TWO_STAGES, "--features", "live")
    return path


@pytest.fixture(scope="module")
def on_features(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("features") / "run"
    run(data, path, *FEATURES)
    return path


def assert_goes_on_to_the_same_end(data, whole, again, step, *arguments):
    """After all that came after a step is taken away."""
    shutil.copytree(whole, again)
    (again / "model.keras").unlink()
    for path in (again / "checkpoints").iterdir():
        if int(path.stem.removeprefix("step-")) > step:
            path.unlink()
    run(data, again, *arguments)
    assert measured(again) == measured(whole)
    expected, received = snapshots(whole)[-1], snapshots(again)[-1]
    assert expected.step == received.step and expected.arrays.keys() == received.arrays.keys()
    for name, value in expected.arrays.items():
        np.testing.assert_array_equal(value, received.arrays[name], err_msg=name)


def test_what_is_frozen_keeps_its_bits_and_what_is_not_changes(two_stages):
    at = snapshots(two_stages)
    assert [(one.step, one.phase) for one in at] == [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (6, 2)]
    assert changed(at[0], at[1]) == []  # moving averages of batch normalisation among them
    names = [name for name in weights(at[0]) if name not in HEAD and "seed" not in name]
    little, more = changed(at[1], at[3]), changed(at[3], at[5])
    assert 0 < len(little) < len(more) < len(names)
    assert little == names[-len(little) :] and more == names[-len(more) :]


def test_each_phase_has_a_new_optimizer_and_the_epochs_go_on(two_stages):
    rows = [json.loads(line) for line in (two_stages / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    iterations = [value for one in snapshots(two_stages) for name, value in one.arrays.items() if "/iteration" in name]
    assert [int(value) for value in iterations] == [1, 2, 1, 2, 1, 2]


def test_each_stage_has_the_schedule_from_its_beginning():
    options = {"schedule": ScheduleOptions(schedule="cosine", warmup="1 step")}
    phases = FineTuningOptions(stages="head:1,finetune:3", unfreeze=("0.3:2", "0.6")).phases(4)
    feed = Feed(dataset=tf.data.Dataset.range(1), examples=58, batch_size=29)
    seen = [schedule_of(SimpleNamespace(options=options), feed, phase) for phase in phases]
    stage = factors(options["schedule"], 2.0, 6)
    np.testing.assert_array_equal(seen[0], factors(options["schedule"], 2.0, 2))
    np.testing.assert_array_equal(seen[1][:2], stage[:2])
    np.testing.assert_array_equal(seen[2], stage[2:])


@pytest.mark.parametrize("step", [2, pytest.param(5, marks=pytest.mark.slow)])  # at the end of a phase, within one
def test_a_run_that_was_stopped_ends_with_the_same_bits(data, two_stages, tmp_path, step):
    assert_goes_on_to_the_same_end(data, two_stages, tmp_path / "run", step, *TWO_STAGES, "--features", "live")


def test_a_head_trained_on_stored_features_is_that_of_the_model_on_images(data, on_features, tmp_path):
    run(data, tmp_path / "live", *FEATURES, "--features", "live")
    stored, live = snapshots(on_features), snapshots(tmp_path / "live")
    assert {name for name in weights(stored[3]) if "seed" not in name} == set(HEAD)
    for name in HEAD:
        np.testing.assert_allclose(weights(stored[3])[name], weights(live[3])[name], rtol=1e-4, atol=1e-6)
    judged = [json.loads((path / "evaluation.json").read_text()) for path in (on_features, tmp_path / "live")]
    np.testing.assert_allclose(judged[0]["loss"], judged[1]["loss"], rtol=1e-3)


@pytest.mark.parametrize("step", [pytest.param(3, marks=pytest.mark.slow), 4])
def test_a_run_on_stored_features_that_was_stopped_ends_with_the_same_bits(data, on_features, tmp_path, step):
    assert_goes_on_to_the_same_end(data, on_features, tmp_path / "run", step, *FEATURES)


@pytest.mark.slow
def test_the_first_layer_learns_at_its_share_of_the_rate(data, tmp_path):
    plain = [*TINY, "--epochs", "1", "--batch-size", "58", "--optimizer", "sgd", "--momentum", "0"]
    plain += ["--learning-rate", "0.1", "--checkpoint-steps", "1", "--final", "last"]
    moved = []
    for share in ("1", "0.5", "0.25"):
        run(data, tmp_path / share, *plain, "--first-layer-rate", share)
        (only,) = snapshots(tmp_path / share)
        moved.append(weights(only))
    first = next(name for name in moved[0] if name.endswith("kernel"))
    whole, half, quarter = (one[first] for one in moved)
    np.testing.assert_allclose(half - quarter, (whole - half) / 2, atol=1e-6)
    np.testing.assert_array_equal(moved[0]["head/kernel"], moved[1]["head/kernel"])
    assert np.abs(whole - half).max() > 1e-4


def test_a_weights_file_of_other_content_makes_another_run(tmp_path):
    weights = tmp_path / "some.weights.h5"
    options = parse_options(["--data", "d", "--run", "r", "--model", "VGG16", "--weights", str(weights)])
    seen = []
    for content in (b"one", b"two"):
        weights.write_bytes(content)
        seen.append(identities_of(options, SimpleNamespace(fingerprint="")))
    assert seen[0] != seen[1]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--unfreeze", "none"], "Expected the name of a backbone as --model"),
        (["--model", "resnet-8", "--unfreeze", "none:3", "block9"], "block"),
        (["--model", "resnet-8", "--stages", "head:2,finetune:3", "--epochs", "4"], "add up to 5"),
        (["--model", "resnet-8", "--stages", "head:2,tail:3"], "--stages"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_written(data, tmp_path, capsys, arguments, named):
    code = train.main(["--data", str(data), "--run", str(tmp_path / "run"), *arguments])
    error = capsys.readouterr().err
    assert code == 2 and named in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()
