"""What the step can be told: parts, clipping, weights, schedules, moving averages; and what it does with a NaN."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from base.errors import InputError
from models.heads import Head
from models.training import hardware
from models.training.compiling import compile_model
from models.training.failures import NotFinite
from models.training.loss_options import LossOptions
from models.training.objective import Objective
from models.training.options import HardwareOptions
from models.training.trainer import Trainer
from tests.models.training.test_replicas import SGD, difference, run, trained, weights

SOFTMAX = Head("softmax", "cross_entropy", 4)


@pytest.mark.parametrize("xla", ["off", pytest.param("on", marks=pytest.mark.slow)])
@pytest.mark.parametrize("replicas", [1, 2])
def test_a_batch_in_parts_gives_what_the_undivided_one_gives(make_trainer, task, replicas, xla):
    arguments = {"precision": "float64", "optimizer": SGD, "l2": 1e-3, "xla": xla}
    whole, sums = trained(make_trainer, task, replicas, **arguments)
    parts, sums_of_parts = trained(make_trainer, task, replicas, step={"accumulate": 4}, **arguments)
    assert difference(weights(whole), weights(parts)) < 1e-12
    np.testing.assert_allclose(sums_of_parts.loss, sums.loss, rtol=1e-6)
    assert sums_of_parts.correct == sums.correct


@pytest.mark.parametrize(
    "clip", [{"clip_norm": 0.05}, {"clip_global_norm": 0.05}, {"clip_value": 0.002}, {"ema": 0.8, "clip_norm": 0.1}]
)
def test_clipping_sees_the_gradients_of_the_global_batch(make_trainer, task, clip):
    arguments = {
        "precision": "float64",
        "optimizer": {"optimizer": "sgd", "momentum": 0.0, "learning_rate": 1.0, **clip},
    }
    one, two = (make_trainer(n, **arguments) for n in (1, 2))
    start = weights(one)
    for trainer, replicas in ((one, 1), (two, 2)):
        run(trainer, task.training(24, replicas), 1)
    assert difference(weights(one), weights(two)) < 1e-12
    updates = [b - a for a, b in zip(start, weights(one), strict=True)]
    norms = [np.linalg.norm(update) for update in updates]
    if "clip_global_norm" in clip:
        assert np.linalg.norm(norms) == pytest.approx(0.05)
    elif "clip_value" in clip:
        assert max(np.abs(update).max() for update in updates) == pytest.approx(0.002)
    else:
        assert max(norms) == pytest.approx(clip["clip_norm"])


def test_class_weights_are_those_of_copied_examples(make_trainer, task):
    # A class of weight 3 among 24 examples is what its examples are when they come three times, up to the mean's count.
    batch = np.arange(24)
    repeated = np.concatenate([batch, np.repeat(batch[task.label[:24] == 2], 2)])
    scale = len(repeated) / 24
    arguments = {"precision": "float64"}
    weighted = make_trainer(1, class_weights=[1, 1, 3, 1], optimizer={**SGD, "momentum": 0.0}, **arguments)
    run(weighted, task._feed(batch, np.ones(24), 24, 1, 24), 1)
    rate = {"optimizer": "sgd", "momentum": 0.0, "learning_rate": SGD["learning_rate"] * scale}
    copied = make_trainer(1, optimizer=rate, **arguments)
    run(copied, task._feed(repeated, np.ones(len(repeated)), len(repeated), 1, 24), 1)
    assert difference(weights(weighted), weights(copied)) < 1e-7  # the learning rate is float32


def test_the_loss_is_the_weighted_sum_over_the_count_of_examples_that_are_not_padding(make_trainer, task):
    weight = np.array([2.0] * 6 + [0.5] * 6 + [0.0] * 12)
    arguments = {"precision": "float64", "optimizer": {**SGD, "momentum": 0.0}}
    trainer = make_trainer(1, **arguments)
    losses = trainer.evaluate(task._feed(np.arange(24), np.ones(24), 24, 1, 24))["loss"]
    sums = run(trainer, task._feed(np.arange(24), weight, 24, 1, 24), 1)
    assert sums.loss / sums.count == pytest.approx((losses * weight).sum() / 12, rel=1e-6)


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_sample_weights_weigh_losses_and_leave_divisor_penalties_and_accuracy_alone(
    make_trainer, task, replicas, accumulate
):
    own = np.random.default_rng(0).uniform(0, 3, 24).astype(np.float32)
    own[3:9] = 0  # still counted
    weight = np.where(np.arange(24) < 20, 1, 0)  # the rest is padding
    trainer = make_trainer(
        replicas,
        precision="float64",
        optimizer={**SGD, "momentum": 0.0},
        class_weights=[1, 2, 3, 4],
        l2=1e-2,
        step={"accumulate": accumulate},
    )
    model, start = trainer.model, weights(trainer)
    image, label = task.image[:20], task.label[:20]
    with tf.GradientTape() as tape:
        outputs = model(image, training=True)
        losses = -tf.math.log(tf.gather(outputs, label, batch_dims=1)) * (1.0 + label)
        expected = tf.reduce_sum(own[:20] * losses) / 20 + tf.add_n(model.losses)
    gradients = tape.gradient(expected, [v.value for v in model.trainable_variables])
    right = (outputs.numpy().argmax(axis=1) == label).sum()

    feed = task._feed(np.arange(24), weight, 24, replicas, 24)
    columns = tf.data.Dataset.from_tensor_slices({"sample_weight": own}).batch(24 // replicas)
    both = tf.data.Dataset.zip((feed.dataset, columns)).map(lambda batch, more: {**batch, **more})
    sums = run(trainer, dataclasses.replace(feed, dataset=both), 1)
    assert sums.loss / sums.count == pytest.approx(float(expected), rel=1e-6)
    assert (sums.count, sums.weight, sums.correct) == (20, 20, right)
    by_hand = [w - np.float32(SGD["learning_rate"]) * g.numpy() for w, g in zip(start, gradients, strict=True)]
    assert difference(by_hand, weights(trainer)) < 1e-12


def test_smoothing_and_focus_are_keras_own_and_mixed_labels_are_taken():
    rng = np.random.default_rng(0)
    outputs = tf.nn.softmax(tf.constant(rng.normal(size=(8, 4)), tf.float32))
    label = tf.constant(rng.integers(0, 4, 8), tf.int32)
    shares = tf.one_hot(label, 4)
    plain = Objective(SOFTMAX, LossOptions()).losses(label, outputs)
    np.testing.assert_allclose(Objective(SOFTMAX, LossOptions()).losses(shares, outputs), plain, rtol=1e-5)
    smooth = Objective(SOFTMAX, LossOptions(label_smoothing=0.2))
    expected = keras.losses.CategoricalCrossentropy(label_smoothing=0.2, reduction=None)(shares, outputs)
    np.testing.assert_allclose(smooth.losses(label, outputs), expected, rtol=1e-6)
    focal = Objective(SOFTMAX, LossOptions(focal_gamma=2.0)).losses(label, outputs)
    right = tf.gather(outputs, label, batch_dims=1)
    np.testing.assert_allclose(focal, (1 - right) ** 2 * plain, rtol=1e-4)
    weighted = Objective(SOFTMAX, LossOptions(), [1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(weighted.losses(label, outputs), plain * (1 + tf.cast(label, tf.float32)), rtol=1e-6)
    half = 0.5 * shares + 0.5 * tf.roll(shares, 1, axis=1)
    own = tf.reduce_sum(half * [1.0, 2.0, 3.0, 4.0], axis=1)
    np.testing.assert_allclose(
        weighted.losses(half, outputs), Objective(SOFTMAX, LossOptions()).losses(half, outputs) * own, rtol=1e-6
    )
    with pytest.raises(InputError, match="label-smoothing"):
        Objective(Head("linear", "hinge", 4), LossOptions(label_smoothing=0.1))


def test_a_schedule_multiplies_the_learning_rate_and_leaves_the_optimizers_own_alone(make_trainer, task):
    factors = np.array([1.0, 0.5, 0.0], np.float32)
    arguments = {"precision": "float64", "optimizer": {**SGD, "momentum": 0.0}}
    scheduled = make_trainer(1, step={"factors": factors}, **arguments)
    by_hand = make_trainer(1, **arguments)
    batches = [task._feed(np.arange(24 * i, 24 * i + 24), np.ones(24), 24, 1, 24) for i in range(4)]
    for place, factor in enumerate([1.0, 0.5, 0.0, 0.0]):  # beyond its end the last factor stays
        by_hand.model.optimizer.learning_rate = SGD["learning_rate"] * factor
        run(scheduled, batches[place], 1)
        run(by_hand, batches[place], 1)
        assert difference(weights(scheduled), weights(by_hand)) < 1e-15
    assert float(scheduled.model.optimizer.learning_rate.numpy()) == pytest.approx(SGD["learning_rate"])
    history = make_trainer(1, step={"factors": factors}, **arguments).fit(
        task.training(24, 1), epochs=1, steps_per_call=2
    )
    np.testing.assert_allclose(history.history["learning_rate"], [0.0])


def test_the_moving_average_is_what_is_evaluated(make_trainer, task):
    trainer = make_trainer(1, precision="float64", optimizer={**SGD, "ema": 0.5})
    expected = None
    feed = task.training(24, 1)
    iterator = iter(feed.dataset)
    for step in range(4):
        batch = next(iterator)
        index = batch["index"].numpy()
        run(trainer, task._feed(index, np.ones(24), 24, 1, 24), 1)
        now = [v.numpy() for v in trainer.model.trainable_variables]
        expected = now if step == 0 else [0.5 * a + 0.5 * b for a, b in zip(expected, now, strict=True)]
    scores = trainer.evaluate(task.evaluation(24, 1))["scores"]
    for variable, value in zip(trainer.model.trainable_variables, expected, strict=True):
        variable.assign(value)
    np.testing.assert_allclose(scores, trainer.model.predict(task.image, verbose=0), atol=1e-6)


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_step_that_is_no_number_stops_the_run_with_the_weights_from_before_it(make_trainer, task, replicas):
    trainer = make_trainer(replicas, batch_norm=True)
    clean = make_trainer(replicas, batch_norm=True)
    order, weight = np.arange(96), np.ones(96)
    weight[60] = np.nan
    with pytest.raises(NotFinite) as error:
        trainer.fit(task._feed(order, weight, 24, replicas, 96), epochs=1, steps_per_call=4)
    assert error.value.step == 2 and "step=2" in str(error.value)
    run(clean, task._feed(order[:48], np.ones(48), 24, replicas, 48), 2)
    for a, b in zip(weights(trainer), weights(clean), strict=True):
        np.testing.assert_array_equal(a, b)
    assert int(trainer.model.optimizer.iterations.numpy()) == 2


def test_how_many_steps_a_call_makes_changes_no_bit(make_trainer, task):
    logs = []
    for steps_per_call in (1, 5):
        trainer = make_trainer(1, dense_dropout=0.3)
        history = trainer.fit(task.training(24, 1), epochs=2, steps_per_call=steps_per_call)
        logs.append((history.history["loss"], history.history["accuracy"], weights(trainer)))
    assert logs[0][:2] == logs[1][:2]
    for a, b in zip(logs[0][2], logs[1][2], strict=True):
        np.testing.assert_array_equal(a, b)


class Uncompilable(keras.layers.Layer):
    """Uses an operation that XLA has no kernel for."""

    def call(self, x):
        """Adds gamma noise."""
        arguments = {"key": tf.constant([1], tf.uint64), "counter": tf.constant([1, 1], tf.uint64), "alg": 1}
        alpha = 1 + tf.abs(x[0, :1])  # of the input: what depends on nothing is computed before XLA sees it
        return x + tf.raw_ops.StatelessRandomGammaV3(shape=[1], alpha=alpha, **arguments)


def test_what_xla_cannot_compile_is_named_with_its_layer(task):
    machine = hardware.prepare(HardwareOptions(strategy="single", xla="on"))
    layers = [keras.layers.Flatten(), Uncompilable(name="noise"), keras.layers.Dense(4, activation="softmax")]
    model = keras.Sequential([keras.Input((8, 8, 1)), *layers])
    compile_model(model, SOFTMAX, keras.optimizers.SGD())
    with pytest.raises(InputError, match="'StatelessRandomGammaV3' of layer 'noise'"):
        Trainer(model, head=SOFTMAX, hardware=machine).fit(task.training(24, 1), epochs=1)
