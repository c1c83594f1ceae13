import keras
import numpy as np
import pytest
import tensorflow as tf

from base.errors import InputError
from models.heads import Head
from models.training import hardware
from models.training.checkpoint import CheckpointFolder
from models.training.compiling import compile_model
from models.training.failures import NotFinite
from models.training.keeper import Keeper
from models.training.options import HardwareOptions
from models.training.trainer import Trainer
from pipelines.images.input_options import InputSpec
from pipelines.manifest import read_manifest
from pipelines.reading.options import ReaderOptions
from pipelines.reading.parts import Parts
from scripts import build_tfrecords
from scripts.training import replay
from scripts.training.feeds import Data


class Contrast(keras.layers.Layer):
    """Divides each image by its mean."""

    def call(self, x):
        """`[B, H, W, C]` to the same."""
        return x / keras.ops.mean(x, axis=(1, 2, 3), keepdims=True)


@pytest.fixture
def data(tmp_path):
    """36 grey images of two classes, one of them black."""
    rng = np.random.default_rng(0)
    for name in ("day", "night"):
        (tmp_path / "in/train" / name).mkdir(parents=True)
        for number in range(18):
            black = (name, number) == ("night", 11)
            pixels = np.zeros((8, 8, 1), np.uint8) if black else rng.integers(1, 255, (8, 8, 1), np.uint8)
            path = tmp_path / "in/train" / name / f"{number}.png"
            path.write_bytes(tf.io.encode_png(pixels).numpy())
    assert build_tfrecords.main([str(tmp_path / "in"), "--out", str(tmp_path / "data"), "--hold-out", "0"]) == 0
    spec = InputSpec(image_size=8, channels=1, fit="stretch")
    manifest = read_manifest(tmp_path / "data")
    return Data(tmp_path / "data", manifest, spec, Parts(batch_size=4, replicas=2), ReaderOptions(), seed=5)


def make_trainer(seed):
    machine = hardware.prepare(HardwareOptions(strategy="mirrored", replicas=2))
    head = Head("softmax", "cross_entropy", 2)
    keras.utils.set_random_seed(seed)
    with machine.strategy.scope():
        x = image = keras.Input((8, 8, 1))
        for layer in (Contrast(name="contrast"), keras.layers.Flatten(), keras.layers.Dense(2, "softmax", name="out")):
            x = layer(x)
        model = keras.Model(image, x, name="own")
        compile_model(model, head, keras.optimizers.SGD(0.01))
    return Trainer(model, head=head, hardware=machine)


def test_the_image_that_made_a_training_fail_is_named_by_its_id_and_layer(data, tmp_path):
    folder = tmp_path / "run/replay"
    with pytest.raises(InputError, match="Expected with --replay a run that has met"):
        replay.replayed(replay.failed_at(folder), make_trainer(9), data)
    keeper = Keeper(CheckpointFolder(tmp_path / "run/checkpoints"), replay=CheckpointFolder(folder, keep=1))
    with pytest.raises(NotFinite) as failure:
        make_trainer(1).fit(data.training("train"), epochs=1, keeper=keeper)
    error = replay.naming_examples(failure.value, data)
    ids = data.ids("train", error.index)
    assert "night/11.png" in "".join(ids) and len(ids) == 4 and error.step == failure.value.step
    assert f"examples: {error.index[0]} {ids[0]!r}, " in str(error) and ", and 1 more. Lower" in str(error)
    assert str(error).endswith("the same command with --replay shows that step layer by layer.")

    lines = replay.replayed(replay.failed_at(folder), make_trainer(9), data).splitlines()
    assert lines[0] == f"step {error.step} (counted from 0), epoch 1, 4 examples"
    layers = next(line for line in lines if line.startswith("layers"))
    assert "'contrast': 25.00% of its values" in layers and "night/11.png" in layers
    assert "(class 1, pixels 0 to 0)" in layers
