"""The summary command on trained, saved and new models."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.backbones.build import backbone_of, build_backbone_model
from models.backbones.options import BackboneOptions
from models.heads import Head
from models.own_model import build_own_model
from scripts import summary, train
from tests.scripts.conftest import SMALL

OWN = """
import keras

class Mine(keras.Model):
    def __init__(self, outputs):
        super().__init__(name="mine")
        self.conv = keras.layers.Conv2D(2, 3, name="conv")
        self.flat = keras.layers.Flatten(name="flat")
        self.dense = keras.layers.Dense(outputs, activation="softmax", name="dense")
    def call(self, x, training=False):
        return self.dense(self.flat(self.conv(keras.ops.cast(x, "float32") / 255)))
    def get_config(self):
        return {"outputs": self.dense.units}

def mine(shape, outputs):
    return Mine(outputs)
"""


def report(capsys, *argv):
    assert summary.main([*map(str, argv), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A run of a CNN with SGD."""
    path = tmp_path_factory.mktemp("runs") / "run"
    argv = ["--data", str(data), "--run", str(path), *SMALL, "--epochs", "1", "--optimizer", "sgd", "--momentum", "0"]
    assert train.main(argv) == 0
    return path


@pytest.fixture
def image(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 3)).astype(np.uint8)
    (tmp_path / "photo.jpg").write_bytes(tf.io.encode_jpeg(pixels).numpy())
    return tmp_path / "photo.jpg"


def test_a_run_is_counted_as_it_was_trained(run, capsys):
    found = report(capsys, run)
    model = keras.models.load_model(run / "model.keras")
    assert found["image_shape"] == [16, 16, 3]
    assert found["parameters"] == {"trainable": model.count_params(), "frozen": 0, "total": model.count_params()}
    assert sum(layer["trainable"] for layer in found["layers"]) == model.count_params()
    assert [layer["name"] for layer in found["layers"]] == [layer.name for layer in model.layers[1:]]
    memory = found["memory"]
    assert (memory["batch_size"], memory["weights"]) == (16, 4 * model.count_params())
    assert memory["optimizer"] < 20  # plain SGD has no slots
    assert report(capsys, run, "--batch-size", 32)["memory"]["activations"] == 2 * memory["activations"]
    assert report(capsys, run / "model.keras")["layers"] == found["layers"]


def test_a_new_model_is_counted_as_train_would_build_it(data, tmp_path, capsys):
    (tmp_path / "recipe.yaml").write_text("model: cnn\nbatch_size: 8\nblocks: 1\nfilters: 4\nbatch_norm: true\n")
    found = report(capsys, "cnn", "--data", data, "--config", tmp_path / "recipe.yaml", "--image-size", 12)
    convolution, norm = found["layers"][1:3]
    assert (convolution["name"], convolution["output_shape"]) == ("block_1_conv", [12, 12, 4])
    assert (convolution["multiply_adds"], convolution["flops"]) == (144 * 27 * 4, 2 * 144 * 27 * 4)
    assert convolution["receptive_field"] == {"size": [3, 3], "stride": [1, 1], "start": [-1, -1]}
    assert (norm["trainable"], norm["frozen"]) == (8, 8)
    assert found["layers"][-1]["output_shape"] == [3] and found["layers"][-1]["sees"] == "the whole image"
    assert found["memory"]["batch_size"] == 8


@pytest.mark.parametrize(
    ("argv", "size", "published", "field"),
    [
        # torchvision's table of models: 15.47 GFLOPS, a multiply-add being one, less those of its three dense layers;
        # fields: Araujo, Norris, Sim 2019 (Distill).
        (["VGG16"], 224, 15.47e9 - 123.6e6, 212),
        pytest.param(["MobileNetV2"], 224, 300e6, 491, marks=pytest.mark.slow),  # Sandler et al. 2018, table 4
        pytest.param(["ResNet50"], 224, 3.8e9, 483, marks=pytest.mark.slow),  # He et al. 2015, table 1
        (["resnet-20"], 32, 40.6e6, 81),  # by hand: 3 + 6 x 2, + 2 + 5 x 4, + 4 + 5 x 8
    ],
)
def test_a_backbone_by_its_name_counts_as_its_paper_says(argv, size, published, field, capsys):
    found = report(capsys, *argv)
    assert found["image_shape"] == [size, size, 3] and found["not_counted"] == []
    assert found["multiply_adds"] == pytest.approx(published, rel=0.02)
    assert [layer for layer in found["layers"] if layer["receptive_field"]][-1]["receptive_field"]["size"] == [
        field
    ] * 2


def test_a_backbone_has_the_weights_of_a_file_and_its_maps_drawn(image, tmp_path, capsys):
    options = BackboneOptions(weights="none", backbone_norm_momentum=0)
    built = build_backbone_model("resnet-8", options, (32, 32, 3), Head("softmax", "cross_entropy", 10))
    backbone_of(built, pooled=False).save_weights(tmp_path / "its.weights.h5")
    argv = ["resnet-8", "--weights", f"{tmp_path}/its.weights.h5"]
    moving = 2 * (16 * 3 + 32 * 2 + 64 * 2)  # averages of 7 normalisations
    total = built.count_params()
    assert report(capsys, *argv)["parameters"] == {"trainable": total - moving, "frozen": moving, "total": total}
    assert summary.main([*argv, "--activations", str(image), "--out", str(tmp_path / "maps")]) == 0
    names = [f"0{place}_stage_{place}_block_1_relu.png" for place in (1, 2, 3)]
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == [*names, "filters.png"]


def test_a_model_of_ones_own_is_opened_new_and_saved(tmp_path, capsys):
    (tmp_path / "own.py").write_text(OWN)
    new = report(capsys, f"{tmp_path}/own.py:mine", "--image-size", 8, "--channels", 1, "--classes", 4)
    assert [layer["type"] for layer in new["layers"]] == ["Conv2D", "Flatten", "Dense"]
    assert new["layers"][0]["receptive_field"]["size"] == [3, 3]
    assert new["multiply_adds"] == 36 * 9 * 2 + 72 * 4 and new["not_counted"] == []
    saved = tmp_path / "run"
    saved.mkdir()
    build_own_model(f"{tmp_path}/own.py:mine", (8, 8, 1), Head("softmax", "cross_entropy", 4)).save(
        saved / "model.keras"
    )
    config = f"model: {tmp_path}/own.py:mine\nimage_size: 8\nchannels: 1\nbatch_size: 64\nfit: crop\n"
    (saved / "config.yaml").write_text(config)
    assert report(capsys, saved) == {**new, "model": str(saved / "model.keras")}
    assert summary.main([str(saved / "model.keras"), "--image-size", "8"]) == 2  # without the file of its class
    error = capsys.readouterr().err
    assert "Mine" in error and error.count("\n") == 1


def test_the_table_names_what_is_in_the_json(run, capsys):
    found = report(capsys, run)
    assert summary.main([str(run)]) == 0
    printed = capsys.readouterr().out
    rows = {line.split()[0]: line.split() for line in printed.splitlines() if line.strip()}
    assert rows["block_2_conv"][1:4] == ["Conv2D", "8x8x8", "296"] and rows["block_2_conv"][-2:] == ["8x8", "2x2"]
    assert rows["head"][-1] == "all"
    assert f"total {found['parameters']['total']:,}" in printed


def test_pictures_are_written_of_each_block_and_of_the_filters(run, image, tmp_path, capsys):
    out = tmp_path / "pictures"
    assert summary.main([str(run), "--activations", str(image), "--out", str(out)]) == 0
    names = ["01_block_1_pool.png", "02_block_2_pool.png", "filters.png"]
    assert sorted(entry.name for entry in out.iterdir()) == names
    printed = capsys.readouterr().out
    assert all(f"{out / name}:" in printed for name in names) and "8 maps of block_2_pool" in printed
    before = {entry.name: entry.read_bytes() for entry in out.iterdir()}
    assert summary.main([str(run), "--activations", str(image), "--out", str(out)]) == 2
    assert {entry.name: entry.read_bytes() for entry in out.iterdir()} == before


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["nowhere"], "a run's folder"),
        (["ccn"], "'cnn'"),
        (["vgg16"], "'VGG16'"),
        (["VGG16", "--image-size", "16"], "32x32"),
        (["VGG16", "--width", "0.5"], "--width"),
        (["MobileNetV2", "--weights", "absent.h5"], "absent.h5"),
        (["nowhere.keras"], "nowhere.keras"),
        (["broken.keras"], "broken.keras"),
        (["."], "config.yaml"),
        (["unfinished"], "model.keras"),
        (["broken.keras", "--filters", "4"], "filters"),
        (["cnn", "--classes", "1"], "--classes"),
        (["cnn", "--image-size", "4", "--blocks", "4"], "--blocks"),
        (["cnn", "--activations", "photo.jpg"], "--out"),
        (["cnn", "--activations", "absent.jpg", "--out", "new"], "absent.jpg"),
        (["cnn", "--activations", "broken.keras", "--out", "new"], "broken.keras"),
        (["cnn", "--activations", "photo.jpg", "--out", "unfinished"], "--out"),
        (["cnn", "--head", "sigmoid"], "2 classes"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, capsys, image, argv, named):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.keras").write_bytes(b"no model")
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "config.yaml").write_text("model: cnn\n")
    before = sorted(tmp_path.rglob("*"))
    assert summary.main(argv) == 2
    error = capsys.readouterr().err
    assert named in error and error.count("\n") == 1 and "Traceback" not in error, error
    assert sorted(tmp_path.rglob("*")) == before
