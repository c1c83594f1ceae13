"""1 and 2 replicas compute the same thing: losses, gradients, moving averages, metrics."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.heads import Head
from models.training.compiling import compile_model
from models.training.meter import Meter
from models.training.trainer import Trainer

STEPS = 50
SOFTMAX = Head("softmax", "cross_entropy", 4)
SGD, ADAM = {"optimizer": "sgd", "learning_rate": 0.05}, {"optimizer": "adam"}


def trained(make_trainer, task, replicas, *, batch_size=24, **arguments):
    trainer = make_trainer(replicas, **arguments)
    return trainer, run(trainer, task.training(batch_size, replicas), STEPS)


def run(trainer, feed, steps):
    """The sums of some steps."""
    nothing = Meter(len(trainer.model.trainable_variables)).sums
    return trainer._run_steps(iter(trainer._distributed(feed.dataset)), steps, nothing).sums


def weights(trainer):
    return [v.numpy().astype(np.float64) for v in trainer.model.variables if v.dtype.startswith("float")]


def difference(a, b):
    """The greatest over the tensors of |a - b| / |a|."""
    return max(np.linalg.norm(x - y) / np.linalg.norm(x) for x, y in zip(a, b, strict=True) if np.linalg.norm(x))


@pytest.mark.parametrize(
    ("precision", "xla", "optimizer", "tolerance"),
    [
        ("float64", "off", SGD, 1e-9),
        ("float64", "off", ADAM, 1e-9),
        pytest.param("float64", "on", ADAM, 1e-9, marks=pytest.mark.slow),
        ("float32", "off", SGD, 1e-5),
        ("float32", "on", SGD, 1e-5),
        ("float32", "off", ADAM, 1e-3),
    ],
)
def test_two_replicas_give_the_weights_of_one(make_trainer, task, precision, xla, optimizer, tolerance):
    arguments = {"precision": precision, "xla": xla, "optimizer": optimizer, "l2": 1e-3}
    (one, sums_one), (two, sums_two) = (trained(make_trainer, task, n, **arguments) for n in (1, 2))
    start = weights(make_trainer(1, **arguments))
    assert difference(start, weights(one)) > 0.01  # it has learnt something that could differ
    assert difference(weights(one), weights(two)) < tolerance
    for a, b in zip(sums_one, sums_two, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)
    assert sums_one.weight == STEPS * 24


@pytest.mark.parametrize("accumulate", [1, 2])
def test_synchronised_batch_norm_makes_two_replicas_give_the_weights_of_one(make_trainer, task, accumulate):
    arguments = {"precision": "float64", "optimizer": ADAM, "batch_norm": True, "sync_batch_norm": True}
    if accumulate == 1:
        (one, _), (two, _) = (trained(make_trainer, task, n, **arguments) for n in (1, 2))
    else:  # each part is normalised over both replicas: 12 + 12 of two parts are not the 24 of one replica's part
        arguments["step"] = {"accumulate": 2}
        one, _ = trained(make_trainer, _Rearranged(task), 1, **arguments)
        two, _ = trained(make_trainer, task, 2, **arguments)
    assert difference(weights(one), weights(two)) < 1e-9


class _Rearranged:
    """A task whose batches of 24 stand so that cut in two they hold what two replicas' halves hold together."""

    def __init__(self, task):
        self._task = task

    def training(self, batch_size, replicas):
        order = np.arange(24).reshape(2, 2, 6).transpose(1, 0, 2).ravel()
        feed = self._task.training(batch_size, replicas)
        dataset = feed.dataset.map(lambda batch: {name: tf.gather(value, order) for name, value in batch.items()})
        return dataclasses.replace(feed, dataset=dataset)


def copies(variable):
    return [part.numpy() for part in variable.value.values]


def test_local_batch_norms_moving_averages_are_averaged_so_that_replicas_never_differ(make_trainer, task):
    trainer, _ = trained(make_trainer, task, 2, batch_norm=True)
    moving = [v for v in trainer.model.non_trainable_variables if "moving" in v.name]
    assert len(moving) == 6
    for variable in [*moving, *trainer.model.trainable_variables, *trainer.model.optimizer.variables]:
        first, second = copies(variable)
        np.testing.assert_array_equal(first, second)
    assert difference([np.ones(4)], [moving[1].numpy()]) > 0.1  # they have moved


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_dropout_differs_between_replicas(make_trainer, task, rate):
    # The same 12 images go to both replicas. With the same masks, or without dropout, the mean of the two gradients is
    # that of one replica's 12 images; with masks of their own it is not.
    task.image[12:24], task.label[12:24] = task.image[:12], task.label[:12]
    results = []
    for n in (1, 2):
        trainer = make_trainer(n, precision="float64", optimizer=SGD, dense_dropout=rate)
        feed = task._feed(np.arange(12 * n), np.ones(12 * n), 12 * n, n, 24)
        run(trainer, feed, 1)
        results.append(weights(trainer))
    if rate:
        assert difference(*results) > 1e-4
    else:
        assert difference(*results) < 1e-12


def test_padding_weighs_nothing_however_the_replicas_share_it(make_trainer, task):
    # 6 examples and 6 paddings: on two replicas all the padding falls to the second.
    weight = np.array([1] * 6 + [0] * 6)
    results = []
    for n in (1, 2):
        trainer = make_trainer(n, precision="float64", optimizer=SGD, l2=1e-2)
        feed = task._feed(np.arange(12), weight, 12, n, 12)
        sums = run(trainer, feed, 1)
        assert sums.weight == 6
        results.append(weights(trainer))
    only = make_trainer(1, precision="float64", optimizer=SGD, l2=1e-2)
    run(only, task._feed(np.arange(6), np.ones(6), 6, 1, 6), 1)
    assert difference(results[0], results[1]) < 1e-12
    assert difference(results[0], weights(only)) < 1e-12


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precisions_train_with_float32_weights_and_scores(make_trainer, task, precision, replicas):
    trainer = make_trainer(replicas, precision=precision, batch_norm=True)
    history = trainer.fit(task.training(24, replicas), task.evaluation(24, replicas), epochs=12)
    assert {v.dtype for v in trainer.model.trainable_variables} == {"float32"}
    assert trainer.model.output.dtype == "float32"
    assert trainer.model.layers[2].compute_dtype == precision.removeprefix("mixed_")
    assert history.history["val_accuracy"][-1] > 0.9


def test_an_overflow_on_any_replica_skips_the_step_on_all_and_halves_the_scale(make_trainer, task):
    trainer = make_trainer(2, precision="mixed_float16", batch_norm=True)
    start = [copies(v) for v in trainer.model.variables]
    # The second replica alone gets the weight that overflows.
    weight = np.array([1.0] * 12 + [np.inf] * 12)
    feed = task._feed(np.arange(24), weight, 24, 2, 24)
    sums = run(trainer, feed, 1)
    assert sums.skipped == 1
    assert float(trainer.loss_scale.scale.numpy()) == 2.0**14
    for before, variable in zip(start, trainer.model.variables, strict=True):
        np.testing.assert_array_equal(before, copies(variable))


def test_what_is_frozen_stays_as_it_is_and_the_rest_is_trained(make_trainer, task):
    trainer = make_trainer(2, batch_norm=True)
    with trainer.strategy.scope():
        trainer.model.get_layer("block_1_conv").trainable = False
        trainer.model.get_layer("block_1_conv_norm").trainable = False
        compile_model(trainer.model, SOFTMAX, keras.optimizers.SGD(0.1))
    frozen = Trainer(trainer.model, head=SOFTMAX, hardware=trainer.hardware)
    before = {v.path: v.numpy() for v in frozen.model.variables}
    run(frozen, task.training(24, 2), 3)
    moved = {v.path for v in frozen.model.variables if (v.numpy() != before[v.path]).any()}
    assert not any(path.startswith("block_1") for path in moved)
    assert "block_2_conv_norm/moving_mean" in moved and "head/kernel" in moved
