"""A step that ends in no number is saved as it was before, and shown: which example, which layer, which gradient."""

import keras
import numpy as np
import pytest

from models.heads import Head
from models.training import hardware
from models.training.checkpoint import CheckpointFolder
from models.training.compiling import compile_model
from models.training.failures import NotFinite
from models.training.keeper import Keeper
from models.training.meter import Meter
from models.training.options import HardwareOptions
from models.training.snapshot import Snapshot, arrays_of, variables_of
from models.training.trainer import Trainer
from tests.models.training.test_replicas import SGD, run

SOFTMAX = Head("softmax", "cross_entropy", 4)


class Contrast(keras.layers.Layer):
    """Divides each image by its mean, which a black one does not survive."""

    def call(self, x):
        """`[B, H, W, C]` to the same."""
        return x / keras.ops.mean(x, axis=(1, 2, 3), keepdims=True)


def contrast_trainer(replicas, seed=1):
    options = HardwareOptions(strategy="mirrored" if replicas > 1 else "single", replicas=replicas)
    machine = hardware.prepare(options)
    keras.utils.set_random_seed(seed)
    with machine.strategy.scope():
        layers = [
            keras.layers.Rescaling(1 / 255, name="rescaled"),
            Contrast(name="contrast"),
            keras.layers.Conv2D(4, 3, activation="relu", name="conv"),
            keras.layers.GlobalAveragePooling2D(name="pooled"),
            keras.layers.Dropout(0.3, name="dropped"),
            keras.layers.Dense(4, activation="softmax", name="head"),
        ]
        model = keras.Sequential([keras.Input((8, 8, 1)), *layers], name="contrasting")
        compile_model(model, SOFTMAX, keras.optimizers.Adam(0.01))
    return Trainer(model, head=SOFTMAX, hardware=machine)


def parts_of(feed, step, replicas):
    return list(feed.dataset.skip(step * replicas).take(replicas))


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_black_image_under_a_model_that_divides_by_the_mean_is_found(task, tmp_path, replicas):
    black = 37
    task.image[black] = 0
    feed = task.training(24, replicas)
    order = np.concatenate([batch["index"] for batch in feed.dataset.take(7 * replicas)])
    failing = int(np.flatnonzero(order == black)[0]) // 24
    assert failing > 0
    keeper = Keeper(CheckpointFolder(tmp_path / "run"), replay=CheckpointFolder(tmp_path / "replay", keep=1))
    with pytest.raises(NotFinite, match=f"step={failing}, epoch=1.*with --replay shows") as error:
        contrast_trainer(replicas).fit(feed, epochs=1, steps_per_call=5, keeper=keeper)
    assert (error.value.step, error.value.saved) == (failing, True)

    start = CheckpointFolder(tmp_path / "replay").load_newest()
    clean = contrast_trainer(replicas)
    sums = run(clean, feed, failing)
    meter = Meter(len(clean.model.trainable_variables))
    meter.sums = sums
    before = arrays_of(variables_of(clean.model, None), meter)  # seeds of dropout and the epoch's sums among them
    assert (start.step, start.epoch, start.steps_of_epoch) == (failing, 0, failing)
    assert start.arrays.keys() == before.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(start.arrays[name], value, err_msg=name)

    trainer = contrast_trainer(replicas, seed=9)
    seen = trainer.replay(start, parts_of(feed, failing, replicas))
    place = seen.index.tolist().index(black)
    assert seen.index.tolist() == order[24 * failing : 24 * failing + 24].tolist()
    assert np.flatnonzero(~np.isfinite(seen.losses)).tolist() == [place]
    assert [layer.name for layer in seen.layers] == ["rescaled", "contrast", "conv", "pooled", "dropped", "head"]
    layer = seen.first_bad_layer
    assert layer.name == "contrast" and layer.not_finite == 64 and np.flatnonzero(layer.examples).tolist() == [place]
    assert seen.first_bad_gradient.endswith("head/bias")
    text = seen.describe(lambda index: [f"{i}.png" for i in index])
    assert f"index 37 '37.png' (class {task.label[37]}, pixels 0 to 0)" in text and "'contrast': 4.17%" in text
    assert "conv" in seen.table()


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_replay_is_the_step_itself(make_trainer, task, replicas):
    # Dropout, parts, penalties, class weights: one step of gradient descent by hand, from what the replay has seen.
    arguments = {
        "precision": "float64",
        "optimizer": {**SGD, "momentum": 0.0},
        "dense_dropout": 0.5,
        "batch_norm": True,
        "class_weights": [1, 2, 3, 4],
        "step": {"accumulate": 2},
    }
    trainer = make_trainer(replicas, **arguments)
    feed = task.training(24, replicas)
    run(trainer, feed, 3)
    meter = Meter(len(trainer.model.trainable_variables))
    arrays = arrays_of(variables_of(trainer.model, None), meter)
    start = Snapshot(arrays=arrays, step=3, epoch=0, steps_of_epoch=3, history={}, callbacks=[])
    parts = parts_of(feed, 3, replicas)
    seen = make_trainer(replicas, seed=9, **arguments).replay(start, parts)
    again = run(trainer, task._feed(seen.index, np.ones(24), 24, replicas, 24), 1)
    assert seen.losses.sum() == pytest.approx(float(again.loss), rel=1e-6)
    np.testing.assert_allclose(list(seen.gradients.values()), np.sqrt(again.squares), rtol=1e-5)
    assert seen.first_bad_layer is None and seen.first_bad_gradient is None
    assert "every output is finite" in seen.describe() and seen.layers[0].norm > 0


def test_a_learning_rate_beyond_all_reason_is_told_by_the_weights(make_trainer, task, tmp_path):
    arguments = {"optimizer": {"optimizer": "sgd", "learning_rate": 1e30, "momentum": 0.0}, "dense_layers": 0}
    keeper = Keeper(CheckpointFolder(tmp_path / "run"), replay=CheckpointFolder(tmp_path / "replay", keep=1))
    feed = task.training(24, 1)
    with pytest.raises(NotFinite) as error:
        make_trainer(1, **arguments).fit(feed, epochs=1, keeper=keeper)
    step = error.value.step
    start = CheckpointFolder(tmp_path / "replay").load_newest()
    seen = make_trainer(1, **arguments).replay(start, parts_of(feed, step, 1))
    assert max(seen.weights.values()) > 1e25 and np.isfinite(list(seen.weights.values())).all()
    assert seen.first_bad_layer is not None or seen.first_bad_gradient is not None
    assert "e+" in seen.describe().splitlines()[1]


def test_without_a_place_for_it_nothing_is_promised(task):
    task.image[:] = 0
    with pytest.raises(NotFinite) as error:
        contrast_trainer(1).fit(task.training(24, 1), epochs=1)
    assert "--replay" not in str(error.value) and not error.value.saved
