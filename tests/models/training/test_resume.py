"""A run that is stopped and goes on ends with the bits of one that was never stopped."""

import keras
import numpy as np
import pytest

from base.errors import InputError
from models.training.checkpoint import CheckpointFolder
from models.training.feed import Feed
from models.training.keeper import Keeper
from models.training.options import CheckpointOptions

EVERYTHING = {
    "optimizer": {"optimizer": "adam", "ema": 0.9, "clip_global_norm": 1.0},
    "batch_norm": True,
    "dense_dropout": 0.3,
    "step": {"accumulate": 2, "factors": np.linspace(1, 0.1, 19).astype(np.float32)},
}
EPOCHS = 3


def callbacks():
    return [
        keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1, min_delta=10.0, cooldown=1),
        keras.callbacks.EarlyStopping("val_loss", patience=2, min_delta=10.0, restore_best_weights=True),
    ]


def fit(trainer, task, replicas, keeper=None, start=None, **arguments):
    feed = task.training(24, replicas)
    skipped = (start.step if start else 0) * replicas
    feed = Feed(dataset=feed.dataset.skip(skipped), examples=feed.examples, batch_size=24)
    arguments = {"epochs": EPOCHS, "callbacks": callbacks(), **arguments}
    return trainer.fit(feed, task.evaluation(24, replicas), keeper=keeper, start=start, **arguments)


def everything(trainer):
    scale = trainer.loss_scale.variables if trainer.loss_scale else []
    return [v.numpy() for v in [*trainer.model.variables, *trainer.model.optimizer.variables, *scale]]


class StopAt(Keeper):
    """Saves and stops after a step, or at an epoch's end; as a signal would make it."""

    def __init__(self, folder, step):
        super().__init__(folder, CheckpointOptions(checkpoint_steps=1))
        self.step = step

    def after_call(self, step, snapshot):
        if step == self.step:
            self._received = [15]
        super().after_call(step, snapshot)


@pytest.mark.parametrize(
    ("replicas", "precision", "step"),
    [
        (1, "float32", 1),
        (1, "float32", 9),
        pytest.param(1, "float32", 13, marks=pytest.mark.slow),
        (1, "mixed_float16", 10),
        pytest.param(2, "float32", 9, marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_ends_with_the_bits_of_an_undisturbed_one(
    make_trainer, task, tmp_path, replicas, precision, step
):
    arguments = {"precision": precision, **EVERYTHING}
    undisturbed = make_trainer(replicas, **arguments)
    history = fit(undisturbed, task, replicas)
    folder = CheckpointFolder(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        fit(make_trainer(replicas, **arguments), task, replicas, StopAt(folder, step))
    start = folder.load_newest()
    assert start.step == step
    resumed = make_trainer(replicas, seed=9, **arguments)  # other weights: all that counts is in the checkpoint
    again = fit(resumed, task, replicas, start=start)
    for a, b in zip(everything(undisturbed), everything(resumed), strict=True):
        np.testing.assert_array_equal(a, b)
    measured = ("images_per_second", "waiting")
    assert {k: v for k, v in again.history.items() if k not in measured} == {
        k: v for k, v in history.history.items() if k not in measured
    }
    assert again.epoch == history.epoch


def test_the_last_checkpoints_are_kept_and_a_broken_one_is_passed_over(make_trainer, task, tmp_path):
    warnings = []
    folder = CheckpointFolder(tmp_path, keep=3, warn=warnings.append)
    trainer = make_trainer(1)
    fit(trainer, task, 1, Keeper(folder, CheckpointOptions(checkpoint_steps=4)))
    steps = [int(path.stem.removeprefix("step-")) for path in sorted(tmp_path.iterdir())]
    assert steps == [13, 16, 19]  # 7 steps an epoch, of 150 examples: 7, 13, 19; and every 4
    newest = tmp_path / "step-000000019.npz"
    for spoil in (lambda b: b[:-100], lambda b: b[: len(b) // 2] + bytes([b[len(b) // 2] ^ 1]) + b[len(b) // 2 + 1 :]):
        content = newest.read_bytes()
        newest.write_bytes(spoil(content))
        assert folder.load_newest().step == 16
        assert "step-000000019" in warnings[-1] and "broken" in warnings[-1]
        newest.write_bytes(content)
    assert folder.load_newest().step == 19 and folder.load_newest().epoch == 3


def test_a_checkpoint_of_another_model_is_refused_layer_by_layer(make_trainer, task, tmp_path):
    folder = CheckpointFolder(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        fit(make_trainer(1), task, 1, StopAt(folder, 2))
    with pytest.raises(InputError) as error:
        fit(make_trainer(1, dense_units=8), task, 1, start=folder.load_newest())
    assert "dense_1/kernel (32, 16) there, (32, 8) here" in str(error.value)


def test_a_callback_that_cannot_go_on_is_named_and_one_with_a_state_goes_on(make_trainer, task, tmp_path):
    class Counting(keras.callbacks.Callback):
        count = 0

        def on_epoch_end(self, epoch, logs=None):
            self.count += 1

    class Keeping(Counting):
        def get_state(self):
            return self.count

        def set_state(self, state):
            self.count = state

    folder = CheckpointFolder(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        fit(make_trainer(1), task, 1, StopAt(folder, 15), callbacks=[Counting(), Keeping()])
    counting, keeping = Counting(), Keeping()
    with pytest.warns(UserWarning, match="Counting$"):
        fit(make_trainer(1), task, 1, start=folder.load_newest(), callbacks=[counting, keeping])
    assert (counting.count, keeping.count) == (1, 3)


def test_a_checkpoint_that_finds_no_room_is_warned_of_and_the_older_one_stays(make_trainer, task, tmp_path):
    import resource

    warnings = []
    folder = CheckpointFolder(tmp_path, warn=warnings.append)
    trainer = make_trainer(1)
    fit(trainer, task, 1, Keeper(folder), epochs=1)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
    try:
        fit(trainer, task, 1, Keeper(folder), epochs=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert len(warnings) == 1 and "no checkpoint at step" in warnings[0]
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000007.npz"]
