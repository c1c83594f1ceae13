import re

import numpy as np
import pytest
import tensorflow as tf
import yaml

from base.options import parse
from scripts import build_tfrecords, doctor, train
from scripts.training import options as train_options

STAGES = ["read", "parse", "decode", "resize", "batch", "copy", "augmentation", "step"]
SMALL = ["--blocks", "1", "--filters", "2", "--dense-layers", "0", "--batch-size", "8", "--seconds", "0.5"]


def write_photos(folder, side, count):
    """JPEGs under a noise that keeps the decoder busy."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            noise = rng.integers(0, 256, (side, side + i, 3)).astype(np.uint8)
            jpeg = tf.io.encode_jpeg(noise, quality=100, chroma_downsampling=False).numpy()
            (folder / name / f"{i}.jpg").write_bytes(jpeg)


def converted(folder, side, count, *options):
    write_photos(folder / "source", side, count)
    argv = [str(folder / "source"), "--out", str(folder / "data"), "--split", "train=0.8,validation=0.2", *options]
    assert build_tfrecords.main(argv) == 0
    return folder / "data"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return converted(tmp_path_factory.mktemp("photos"), 40, 20)


def rows(output):
    """Stage -> its numbers, of the table."""
    found = {}
    for line in output.splitlines():
        name = line.split(" ")[0]
        if name in STAGES:
            found[name] = [float(text) for text in re.findall(r"\d[\d,]*\.?\d*(?=[ %])", line.replace(",", ""))]
    return found


def test_every_stage_of_a_training_is_measured_and_one_binds(data, tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("image_size: 16\naugment: [flip, rotation]\nepochs: 3\nevaluate_on: validation\n")
    argv = ["--data", str(data), "--config", str(recipe), "--augment-on", "host", "--sample", "20", *SMALL]
    assert doctor.main(argv) == 0
    output = capsys.readouterr().out
    table = rows(output)
    assert list(table) == STAGES
    assert all(numbers[0] > 0 and numbers[1] > 0 for numbers in table.values())
    assert sum(line.endswith("<- binds") for line in map(str.rstrip, output.splitlines())) == 1
    assert re.search(r"verdict  (input|step|copy)-bound: ", output)
    assert "measured  20 images, 0.5 s" in output
    assert "which 32 images are read and decoded once" in output
    assert "train with --augment-on device: training " in output


def test_a_raw_dataset_and_a_run_s_own_config_are_examined(tmp_path, capsys):
    data = converted(tmp_path, 24, 10, "--resize", "exact=20x30", "--encoding", "raw", "--channels", "1")
    run = tmp_path / "run"
    argv = ["--data", str(data), "--run", str(run), "--image-size", "16", "--synthetic", "--epochs", "1", *SMALL[:-2]]
    assert train.main(argv) == 0
    capsys.readouterr()
    assert (
        doctor.main(
            ["--data", str(data), "--config", str(run / "config.yaml"), "--augment", "flip", "--seconds", "0.5"]
        )
        == 0
    )
    output = capsys.readouterr().out
    assert list(rows(output)) == STAGES and "--augment-on device" not in output
    assert "16 images in train, raw, 6" in output


def test_large_photos_for_a_tiny_model_are_diagnosed_as_decode_and_get_smaller(tmp_path, capsys):
    folder = converted(tmp_path, 500, 5)
    argv = ["--data", str(folder), "--image-size", "16", "--cache", "none", *SMALL]
    assert doctor.main(argv) == 0
    output = capsys.readouterr().out
    assert "streamed, " in output and "read and decoded once" not in output
    assert re.search(r"verdict  input-bound: \d+ % of the step is spent waiting; decode is \d+ % of the CPU; ", output)
    gains = dict(re.findall(r"tried \d  (.*): training ([\d.]+) times as fast", output))
    # An image of 16 x 16 pixels has a thousandth of the decoder's work.
    assert float(gains["convert with --resize short=16 --encoding jpeg"]) > 3
    assert {"train with --cache memory, which decodes once"} < set(gains)


@pytest.mark.slow
def test_apply_writes_a_recipe_that_train_accepts(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        doctor, "candidates", lambda cores, shards: {"inter_op_threads": (1, 2), "not_an_option": (1, 2)}
    )
    monkeypatch.setattr(doctor, "ROUNDS", 1)
    recipe = tmp_path / "fast.yaml"
    argv = ["--data", str(data), "--image-size", "16", *SMALL, "--apply", str(recipe)]
    assert doctor.main(argv) == 0
    output = capsys.readouterr().out
    assert [line.split()[-1] for line in output.splitlines()[1:3]] == ["inter_op_threads=1", "inter_op_threads=2"]
    chosen = yaml.safe_load(recipe.read_text())
    assert chosen in ({"inter_op_threads": 1}, {"inter_op_threads": 2})
    options = parse("train.py", "", train_options.GROUPS, ["--data", "d", "--run", "r", "--config", str(recipe)])
    assert options["hardware"].inter_op_threads == chosen["inter_op_threads"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--data", "/nowhere"], "/nowhere"),
        (["--second", "3"], "--seconds"),
        (["--seconds", "0"], "--seconds"),
        (["--apply", "/nowhere/fast.yaml"], "/nowhere/fast.yaml"),
        (["--head", "sigmoid", "--loss", "categorical_hinge"], "--loss"),
    ],
)
def test_bad_input_is_one_line(data, capsys, arguments, named):
    assert doctor.main(["--data", str(data), *arguments]) == 2
    error = capsys.readouterr().err
    assert named in error and error.count("\n") == 1 and "Traceback" not in error


@pytest.mark.parametrize("sample", ["1", "16"])
def test_a_broken_record_is_named_whether_it_is_in_the_sample_or_comes_up_later(tmp_path, capsys, sample):
    folder = converted(tmp_path, 16, 10)
    shard = next(folder.glob("*train.tfrecord*"))
    content = bytearray(shard.read_bytes())
    content[-100] ^= 1
    shard.write_bytes(content)
    capsys.readouterr()
    assert doctor.main(["--data", str(folder), "--cache", "none", "--sample", sample, *SMALL]) == 2
    error = capsys.readouterr().err
    assert shard.name in error and "record=15" in error and error.count("\n") == 1
    shard.unlink()
    assert doctor.main(["--data", str(folder), *SMALL]) == 2
    assert shard.name in capsys.readouterr().err
