"""Sizes against models that are really built."""

import os
import signal
import subprocess
import sys
import time

import keras
import pytest

from base.errors import InputError
from base.options import to_dict
from models.summary.report import model_report
from models.training.hardware import Hardware, prepare
from models.training.optimizers import build_optimizer
from models.training.options import HardwareOptions
from pipelines.manifest import read_manifest
from scripts import train
from scripts.searching.model_size import forget_models, size_of
from scripts.searching.trial_sizes import COMMAND
from scripts.training.assembly import setting_of
from scripts.training.building import build_model, freeze
from scripts.training.options import options_of, parse_options
from tuning.sizes.process import SizeProcess


@pytest.fixture
def recipe(data):
    def made(**options):
        whole = to_dict(*parse_options(["--data", str(data), "--run", "r"]).values())
        return {**{name: value for name, value in whole.items() if value is not None}, "image_size": 32, **options}

    return made


@pytest.fixture(autouse=True)
def policy():
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize(
    "options",
    [
        {"blocks": 2, "dense_layers": 2, "batch_norm": True, "dropout": 0.2, "optimizer": "sgd"},
        {"accumulate": 4, "optimizer": "adafactor"},
        {"model": "MobileNetV2", "width": 0.35, "weights": "none", "unfreeze": ["none:1", "0.2"], "head_units": [16]},
        {"model": "resnet-8", "unfreeze": ["all"], "optimizer": "adamw", "ema": 0.9},
        pytest.param({"model": "EfficientNetV2B0", "weights": "none"}, marks=pytest.mark.slow),
    ],
)
def test_a_size_is_that_of_the_model_that_is_trained(recipe, data, options):
    seen = size_of(recipe(**options))
    forget_models()
    chosen = options_of(recipe(**options))
    hardware: Hardware = prepare(HardwareOptions(strategy="single"))
    setting = setting_of(chosen, read_manifest(data), hardware)
    model = build_model(setting)
    freeze(setting, model, setting.phases[-1])
    batch = 64 // chosen["training"].accumulate
    optimizer = build_optimizer(chosen["optimizer"], 64)
    report = model_report(model, setting.spec.shape, optimizer=optimizer, batch_size=batch)
    assert (seen.parameters, seen.memory) == (report["parameters"]["total"], report["memory"]["total"])


def test_a_model_of_any_size_is_counted_and_not_held(recipe):
    seen = size_of(recipe(blocks=1, filters=1024, dense_units=10**6))
    assert seen.parameters > 10**11 and seen.memory > 16 * seen.parameters  # 1 TB of Adam's


def test_what_training_refuses_is_refused_with_the_same_words(recipe, data, capsys):
    code = train.main(["--data", str(data), "--dry-run", "--image-size", "32", "--blocks", "9"])
    said = capsys.readouterr().err
    with pytest.raises(InputError) as error:
        size_of(recipe(blocks=9))
    assert code == 2 and said == f"error: {error.value}\n"
    with pytest.raises(InputError, match="multiple of the 2 replicas"):
        size_of(recipe(batch_size=63, strategy="mirrored", replicas=2))
    with pytest.raises(InputError, match="--progressive-resizing a model whose variables do not depend"):
        size_of(recipe(progressive_resizing=["0.5:4"]))


def test_no_weights_are_read_and_a_width_without_any_is_refused(recipe, monkeypatch, tmp_path):
    monkeypatch.setattr("models.backbones.build.imagenet_weights", lambda *_: pytest.fail("weights were asked for"))
    wanted = {"model": "MobileNetV2", "weights": "imagenet"}
    assert size_of(recipe(**wanted)).parameters == 2_261_827  # the published 2,257,984 and 3 classes of 1,280 features
    assert size_of(recipe(model="MobileNetV2", weights=str(tmp_path / "there.weights.h5"))).parameters == 2_261_827
    with pytest.raises(InputError, match="with the ImageNet weights of MobileNetV2"):
        size_of(recipe(**wanted, width=0.3))


def test_on_gpus_that_compute_in_16_bits_and_with_several_replicas_a_step_holds_less(recipe):
    whole = size_of(recipe()).memory
    assert size_of(recipe(), (8, 0)).memory < 0.75 * whole
    assert size_of(recipe(), (6, 1)).memory == whole
    assert size_of(recipe(precision="float32"), (8, 0)).memory == whole
    assert size_of(recipe(strategy="mirrored", replicas=4)).memory == size_of(recipe(batch_size=16)).memory


def test_the_process_answers_what_the_function_says_whatever_a_model_prints(recipe, data, tmp_path):
    own = tmp_path / "own.py"
    own.write_text(
        "import keras\n"
        "def build(shape, classes):\n"
        "    print('hello')\n"
        "    dense = keras.layers.Dense(classes, 'softmax')\n"
        "    return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), dense])\n"
    )
    warnings = []
    with SizeProcess([*COMMAND, ""], warnings.append) as process:
        assert process.ask(recipe()) == size_of(recipe())
        assert process.ask(recipe(blocks=9)).error.startswith("Expected feature maps of at least 2x2")
        assert process.ask(recipe(model=f"{own}:build")).parameters == 32 * 32 * 3 * 3 + 3
        assert process.ask({**recipe(), "blocks": "many"}) is None
    assert len(warnings) == 1


def test_the_process_dies_with_its_parent(tmp_path):
    code = (
        "import time; from scripts.searching.trial_sizes import COMMAND; from tuning.sizes.process import SizeProcess\n"
        "process = SizeProcess([*COMMAND, ''], print); process.start()\n"
        "print(process._process.pid, flush=True); time.sleep(1000)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    assert os.path.exists(f"/proc/{pid}")
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    end = time.monotonic() + 60
    while os.path.exists(f"/proc/{pid}"):
        assert time.monotonic() < end
        time.sleep(0.05)
