import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml

from pipelines.manifest import read_manifest
from pipelines.reading.example_ids import read_ids
from pipelines.reading.split_files import SplitFiles
from scripts import build_tfrecords, train
from tests.scripts.conftest import SMALL, write_photos

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "run"
    argv = ["--data", str(data), "--run", str(run), "--epochs", "8", "--learning-rate", "0.01", *SMALL]
    assert train.main(argv) == 0
    return run, argv


def rows(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_photos_become_a_trained_and_evaluated_model(finished, data):
    run, _ = finished
    assert {p.name for p in run.iterdir()} == {
        "config.yaml",
        "environment.json",
        "metrics.jsonl",
        "tensorboard",
        "best.keras",
        "evaluation.json",
        "log.txt",
        "clock.json",
        "checkpoints",
        "report.html",
        "model.keras",
    }
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert evaluation["split"] == "test" and evaluation["examples"] == 6 or evaluation["examples"] == 7
    assert evaluation["accuracy"] > 0.8
    assert np.sum(evaluation["confusion_matrix"]) == evaluation["examples"]
    assert list(evaluation["per_class"]) == ["cat", "dog", "owl"]
    assert evaluation["metrics"]["accuracy"] == evaluation["accuracy"] and evaluation["metrics"]["log_loss"] > 0
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["image_size"] == 16 and config["fit"] == "stretch" and config["strategy"] == "single"
    assert config["intra_op_threads"] >= 1
    assert [row["epoch"] for row in rows(run)] == list(range(1, 9))
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "images_per_second", "waiting"} <= set(rows(run)[0])
    environment = json.loads((run / "environment.json").read_text())
    assert environment["really_on"]["XLA"] == "off" and environment["versions"]["keras"] == keras.__version__


def test_model_and_evaluation_are_of_the_lowest_validation_loss(finished, data):
    run, _ = finished
    model = keras.models.load_model(run / "model.keras")
    best = keras.models.load_model(run / "best.keras")
    for a, b in zip(model.get_weights(), best.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    dataset = tf.data.TFRecordDataset([str(p) for p in sorted(data.glob("*validation.tfrecord*"))])
    images, labels = [], []
    for record in dataset.as_numpy_iterator():
        example = tf.train.Example.FromString(record).features.feature
        pixels = tf.io.decode_image(example["image"].bytes_list.value[0], channels=3)
        images.append(np.round(tf.image.resize(pixels, (16, 16), antialias=True).numpy()))
        labels.append(example["label"].int64_list.value[0])
    loss, accuracy = model.evaluate(np.stack(images), np.array(labels), verbose=0)
    assert loss == pytest.approx(min(row["val_loss"] for row in rows(run)), rel=1e-4)


def test_the_same_finished_command_reports_its_result_and_another_is_refused(finished, capsys):
    run, argv = finished
    before = (run / "model.keras").stat().st_mtime_ns
    assert train.main(argv) == 0
    assert "test accuracy" in capsys.readouterr().out
    assert train.main([*argv, "--learning-rate", "0.02"]) == 2
    error = capsys.readouterr().err
    assert "learning_rate 0.01 there, 0.02 asked" in error and error.count("\n") == 1
    assert (run / "model.keras").stat().st_mtime_ns == before


def test_a_recipe_of_image_data_generator_trains_and_its_standardisation_is_the_models_own(data, tmp_path, capsys):
    recipe, run = tmp_path / "recipe.yaml", tmp_path / "run"
    recipe.write_text("rotation_range: 20\nzoom_range: [0.9, 1.1]\nhorizontal_flip: true\nfeaturewise_center: true\n")
    argv = ["--data", str(data), "--run", str(run), "--config", str(recipe), "--epochs", "1", "--rescale", "1/255"]
    argv += ["--featurewise-std-normalization", "--strategy", "mirrored", "--replicas", "2", *SMALL]
    assert train.main(argv) == 0
    printed = capsys.readouterr().out
    assert "generator_affine, flip; compiled by XLA" in printed and "channels' means" in printed
    pixels = []
    for shard in sorted(data.glob("*train.tfrecord*")):
        for record in tf.data.TFRecordDataset(str(shard)).as_numpy_iterator():
            image = tf.io.decode_image(
                tf.train.Example.FromString(record).features.feature["image"].bytes_list.value[0]
            )
            pixels.append(np.round(tf.image.resize(image, (16, 16), antialias=True).numpy()))
    pixels = np.stack(pixels).astype(np.float64)
    fitted = json.loads((run / "environment.json").read_text())["standardisation"]
    assert fitted["mean"] == pytest.approx(np.mean(pixels, axis=(0, 1, 2)) / 255, rel=1e-6)
    assert fitted["std"] == pytest.approx(np.std(pixels, axis=(0, 1, 2)) / 255, rel=1e-6)
    model = keras.models.load_model(run / "model.keras")
    seen = keras.Model(model.input, model.get_layer("standardise").output)(pixels)
    np.testing.assert_allclose(np.mean(seen, axis=(0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(np.std(seen, axis=(0, 1, 2)), 1, atol=1e-4)
    assert train.main(argv) == 0 and "finished already" in capsys.readouterr().out


@pytest.mark.parametrize("head", ["softmax", *(pytest.param(h, marks=pytest.mark.slow) for h in ("sigmoid", "linear"))])
def test_model_keras_loads_and_trains_on_where_millrace_is_not_installed(tmp_path, head):
    write_photos(tmp_path / "source", classes=("cat", "dog"), count=12)
    data, run = tmp_path / "data", tmp_path / "run"
    assert build_tfrecords.main([str(tmp_path / "source"), "--out", str(data)]) == 0
    argv = ["--data", str(data), "--run", str(run), "--epochs", "2", "--head", head, "--pooling", "l2"]
    precision = "mixed_float16" if head == "softmax" else "float32"
    assert train.main([*argv, "--batch-norm", "--weight-decay", "0.01", "--precision", precision, *SMALL]) == 0
    code = """
import sys
class Absent:
    def find_spec(self, name, *_):
        if name.split(".")[0] in {"base", "models", "pipelines", "scripts", "tuning"}:
            raise ImportError(name)
sys.meta_path.insert(0, Absent())
import keras, numpy as np, warnings
warnings.simplefilter("error", UserWarning)
model = keras.models.load_model(sys.argv[1])
pixels = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3))
scores = model.predict(pixels, verbose=0)
targets = {"softmax": np.zeros(8), "sigmoid": np.zeros((8, 1)), "linear": np.eye(2)[np.zeros(8, int)]}[sys.argv[2]]
before = int(model.optimizer.iterations)
history = model.fit(pixels, targets, epochs=2, batch_size=8, verbose=0)
name = type(model.optimizer).__name__
print(scores.shape, scores.dtype, name, before, int(model.optimizer.iterations), sorted(history.history))
"""
    result = subprocess.run(
        [sys.executable, "-c", code, str(run / "model.keras"), head], capture_output=True, text=True, cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    units = 1 if head == "sigmoid" else 2
    # 19 training images in batches of 16: the epochs end with steps 2 and 3. The optimizer is the best epoch's, too.
    steps = 1 + min(rows(run), key=lambda row: row["val_loss"])["epoch"]
    optimizer = "LossScaleOptimizer" if precision == "mixed_float16" else "Adam"
    assert result.stdout.strip() == f"(8, {units}) float32 {optimizer} {steps} {steps + 2} ['accuracy', 'loss']"


def test_nothing_but_the_run_reaches_the_terminal_and_warnings_go_to_the_log(data, tmp_path):
    command = [sys.executable, "scripts/train.py", "--data", data, "--run", tmp_path / "run", "--epochs", "1", *SMALL]
    command += ["--strategy", "mirrored", "--replicas", "2"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0 and result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["devices", "CPU:0,", "CPU:1"]
    assert lines[1].split() == ["strategy", "mirrored,", "2", "replicas"]
    assert any(line.startswith("epoch 1/1  loss") and "waiting" in line for line in lines)
    assert lines[-1] == f"run: {tmp_path / 'run'}"
    assert "cuda" in (tmp_path / "run" / "log.txt").read_text().lower() or tf.config.list_physical_devices("GPU")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--image-size", "0"], "--image-size"),
        (["--epochs", "0"], "--epochs"),
        (["--replicas", str(len(os.sched_getaffinity(0)) + 1), "--strategy", "mirrored"], "--replicas"),
        (["--replicas", "2", "--strategy", "mirrored", "--batch-size", "1"], "--batch-size"),
        (["--replicas", "2", "--strategy", "mirrored", "--batch-size", "17"], "--batch-size"),
        (["--strategy", "single", "--replicas", "2"], "--strategy"),
        (["--evaluate-on", "held_back"], "held_back"),
        (["--head", "sigmoid"], "--head"),
        (["--loss", "hinge"], "--loss"),
        (["--blocks", "9"], "--blocks"),
        (["--epoch", "3"], "--epochs"),
        (["--precision", "float8"], "--precision"),
        (["--zoom-range", "[0.8, 1, 1.2]"], "--zoom-range"),
        (["--rotation-range", "9", "--augment", "light"], "--augment"),
        (["--zca-whitening", "--image-size", "37"], "--zca-whitening"),
        (["--schedule", "cosine", "--schedule-length", "11"], "--schedule-length"),
        (["--schedule", "cosine", "--schedule-length", "2", "--warmup", "2"], "--warmup"),
        (["--schedule", "cosinus"], "'cosine'"),
        (["--optimizer", "adamax2"], "'adamax'"),
        (["--accumulate", "3"], "--accumulate"),
        (["--model", "vgg.py"], "path/to/file.py:function"),
        (["--model", "nowhere/vgg.py:build"], "nowhere/vgg.py"),
        (["--model", f"{__file__}:no_such_function"], "no_such_function"),
        (["--model", f"{__file__}:rows"], "TypeError"),
        (["--start-from", "nowhere"], "--start-from"),
        (["--dry-run", "--replay"], "--dry-run"),
        (["--sync-batch-norm", "--xla", "on", "--strategy", "mirrored", "--replicas", "2"], "--sync-batch-norm"),
        (["--strategy", "multi_worker"], "TF_CONFIG"),
        (["--strategy", "multi_worker", "--workers", "localhost"], "--worker-index"),
        (["--strategy", "multi_worker", "--workers", "localhost:x", "--worker-index", "0"], "host:port"),
    ],
)
def test_bad_options_are_one_line_that_names_them_and_leave_nothing(data, tmp_path, capsys, arguments, named):
    run = tmp_path / "run"
    assert train.main(["--data", str(data), "--run", str(run), *SMALL, *arguments]) == 2
    error = capsys.readouterr().err
    assert named in error and error.count("\n") == 1 and "Traceback" not in error
    assert not run.exists()


def test_a_run_that_diverges_names_step_and_examples_and_can_be_replayed(data, tmp_path, capsys):
    run = tmp_path / "run"
    argv = ["--data", str(data), "--run", str(run), *SMALL, "--optimizer", "sgd", "--learning-rate", "1e30"]
    assert train.main(argv) == 2
    error = capsys.readouterr().err
    assert "finite loss" in error and "step=1, epoch=1, examples: " in error and error.count("\n") == 1
    named = error.partition("examples: ")[2].partition(",")[0]  # 'INDEX ID'
    assert not (run / "model.keras").exists() and "--replay" in error
    assert train.main([*argv, "--replay"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("step 1 (counted from 0), epoch 1, 16 examples") and f"index {named}" in said
    assert train.main([*argv, "--learning-rate", "0.01"]) == 2
    assert "learning_rate 1e+30 there" in capsys.readouterr().err
    assert train.main([*argv, "--learning-rate", "0.01", "--overwrite", "--epochs", "1"]) == 0


def test_a_run_whose_steps_are_all_skipped_ends_with_its_epoch_named(data, tmp_path, capsys):
    run = tmp_path / "run"
    argv = ["--data", str(data), "--run", str(run), *SMALL, "--optimizer", "sgd", "--learning-rate", "1e30"]
    assert train.main([*argv, "--precision", "mixed_float16"]) == 2
    error = capsys.readouterr().err
    assert "finite loss" in error and "epoch=" in error and error.count("\n") == 1
    assert not (run / "model.keras").exists()


def test_sample_weights_smaller_images_and_other_options_go_together_on_two_replicas(data, tmp_path, capsys):
    ids = read_ids(SplitFiles(folder=data, manifest=read_manifest(data), name="train"))
    weights = tmp_path / "weights.csv"
    weights.write_text("id,weight\n" + "".join(f"{name},{place % 3}\n" for place, name in enumerate(ids)))
    options = ["--sample-weights", str(weights), "--progressive-resizing", "0.5:1", "--flatten", "average"]
    options += [
        "--class-weight",
        "balanced",
        "--label-smoothing",
        "0.1",
        "--focal-gamma",
        "1",
        "--clip-global-norm",
        "1",
    ]
    options += [
        "--schedule",
        "one_cycle",
        "--accumulate",
        "2",
        "--ema",
        "0.5",
        "--optimizer",
        "lamb",
        "--scale-lr",
        "32",
    ]
    runs = []
    for replicas in ([], ["--strategy", "mirrored", "--replicas", "2"]):
        run = tmp_path / f"run{len(runs)}"
        argv = ["--data", str(data), "--run", str(run), *SMALL, *options, *replicas, "--epochs", "2"]
        assert train.main([*argv, "--precision", "float64"]) == 0, capsys.readouterr().err
        runs.append(keras.models.load_model(run / "model.keras").get_weights())
    for a, b in zip(*runs, strict=True):
        assert np.linalg.norm(a - b) <= 1e-9 * np.linalg.norm(a) + 1e-12
    weights.write_text(weights.read_text().replace(",2", ",1"))
    assert train.main([*argv, "--epochs", "3", "--precision", "float64"]) == 2
    assert "sample_weights_fingerprint" in capsys.readouterr().err


def test_data_that_is_no_dataset_is_refused(tmp_path, capsys):
    for folder in (tmp_path, tmp_path / "nowhere"):
        assert train.main(["--data", str(folder), "--run", str(tmp_path / "run")]) == 2
        error = capsys.readouterr().err
        assert str(folder) in error and "build_tfrecords.py" in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_broken_shard_is_refused_before_a_run_folder_is_made(tmp_path, capsys):
    write_photos(tmp_path / "source", count=10)
    data, run = tmp_path / "data", tmp_path / "run"
    assert build_tfrecords.main([str(tmp_path / "source"), "--out", str(data)]) == 0
    shard = next(data.glob("*train.tfrecord*"))
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    capsys.readouterr()
    assert train.main(["--data", str(data), "--run", str(run), *SMALL]) == 2
    error = capsys.readouterr().err
    assert shard.name in error and "record=0" in error and error.count("\n") == 1
    assert not run.exists()


def test_a_streamed_run_says_so_and_a_shard_that_breaks_within_an_epoch_is_named(tmp_path, capsys):
    write_photos(tmp_path / "source", count=10)
    data = tmp_path / "data"
    assert build_tfrecords.main([str(tmp_path / "source"), "--out", str(data)]) == 0
    argv = ["--data", str(data), "--cache", "none", "--memory-budget", "50MB", "--epochs", "1", *SMALL]
    capsys.readouterr()
    assert train.main([*argv, "--run", str(tmp_path / "whole")]) == 0
    assert "streamed" in capsys.readouterr().out
    config = yaml.safe_load((tmp_path / "whole" / "config.yaml").read_text())
    assert config["cache"] == "none" and config["shuffle_window"] == 24 and config["decode_threads"] >= 1
    shard = next(data.glob("*train.tfrecord*"))
    content = bytearray(shard.read_bytes())
    content[-50] ^= 1  # in the last record
    shard.write_bytes(content)
    assert train.main([*argv, "--run", str(tmp_path / "broken")]) == 2
    error = capsys.readouterr().err
    assert shard.name in error and "record=23" in error and error.count("\n") == 1


def test_a_balanced_run_says_how_often_examples_repeat_and_an_epoch_holds_all_classes_alike(tmp_path, capsys):
    write_photos(tmp_path / "source", count=10)
    for image in sorted((tmp_path / "source" / "owl").iterdir())[5:]:
        image.unlink()
    data, run = tmp_path / "data", tmp_path / "run"
    assert build_tfrecords.main([str(tmp_path / "source"), "--out", str(data)]) == 0
    capsys.readouterr()
    argv = ["--data", str(data), "--run", str(run), "--sampling", "balanced", "--epochs", "1", *SMALL]
    assert train.main(argv) == 0
    assert "smallest class comes 2.0 times" in capsys.readouterr().out


OWN = """
import keras

class Net(keras.Model):
    def __init__(self, outputs):
        super().__init__()
        self.outputs_wanted = outputs
        self.inner = keras.Sequential([
            keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(outputs, activation="softmax", dtype="float32")])
    def call(self, x):
        return self.inner(x)
    def get_config(self):
        return {"outputs": self.outputs_wanted}

def net(shape, outputs):
    return Net(outputs)

def functional(shape, outputs):
    image = keras.Input(shape)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, activation="relu")(image))
    return keras.Model(image, keras.layers.Dense(outputs, activation="softmax", dtype="float32")(x))
"""


def test_a_model_of_ones_own_is_trained_by_the_same_engine_and_its_file_is_part_of_the_run(data, tmp_path, capsys):
    (tmp_path / "own.py").write_text(OWN)
    argv = ["--data", str(data), *SMALL, "--optimizer", "sgd", "--precision", "float64"]
    for function, needs in (("net", True), ("functional", False)):
        own = ["--model", f"{tmp_path / 'own.py'}:{function}"]
        runs = []
        for replicas in ("1", "2"):
            run = tmp_path / f"{function}{replicas}"
            mirrored = ["--strategy", "mirrored", "--replicas", "2"] if replicas == "2" else []
            assert train.main([*argv, *own, *mirrored, "--run", str(run), "--epochs", "2"]) == 0
            assert ("model.keras needs it to be loaded" in capsys.readouterr().out) is needs
            assert (run / "model.keras").is_file()
            saved = np.load(sorted((run / "checkpoints").iterdir())[-1])
            runs.append([saved[name] for name in sorted(saved.files) if name.startswith("model/")])
        for a, b in zip(*runs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)
    (tmp_path / "own.py").write_text(OWN.replace("Conv2D(4, 3", "Conv2D(4, 5"))
    assert train.main([*argv, *own, "--run", str(tmp_path / "functional1"), "--epochs", "3"]) == 2
    assert "model_file_fingerprint" in capsys.readouterr().err


def test_a_run_that_another_process_writes_is_refused(data, tmp_path, capsys):
    run = tmp_path / "run"
    command = [sys.executable, "scripts/train.py", "--data", data, "--run", run, "--epochs", "100000", *SMALL]
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, cwd=ROOT)
    while not (run / "config.yaml").exists() and process.poll() is None:
        time.sleep(0.05)
    assert train.main(["--data", str(data), "--run", str(run), "--epochs", "100000", *SMALL]) == 2
    error = capsys.readouterr().err
    assert "no other process" in error and error.count("\n") == 1
    process.kill()
    process.wait()


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ("{worker", "TF_CONFIG"),
        (json.dumps({"cluster": {"worker": ["localhost:1"]}, "task": {"type": "worker", "index": 1}}), "TF_CONFIG"),
        (json.dumps({"cluster": {"chief": ["localhost:1"]}, "task": {"type": "chief", "index": 0}}), "TF_CONFIG"),
    ],
)
def test_a_cluster_that_cannot_be_made_out_is_one_line(data, tmp_path, monkeypatch, capsys, config, named):
    monkeypatch.setenv("TF_CONFIG", config)
    argv = ["--data", str(data), "--run", str(tmp_path / "run"), "--strategy", "multi_worker", *SMALL]
    assert train.main(argv) == 2
    error = capsys.readouterr().err
    assert named in error and error.count("\n") == 1 and not (tmp_path / "run").exists()


def test_a_port_that_is_taken_is_one_line(data, tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        argv = ["--data", str(data), "--run", str(tmp_path / "run"), "--strategy", "multi_worker", *SMALL]
        assert train.main([*argv, "--workers", f"{address},127.0.0.1:1", "--worker-index", "0"]) == 2
    error = capsys.readouterr().err
    assert address in error and error.count("\n") == 1 and not (tmp_path / "run").exists()
