import csv
import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.heads import Head


def test_epoch_logs_are_those_of_the_steps_since_the_epoch_before(make_trainer, task):
    # 150 examples in batches of 24: epochs end after steps 7, 13 and 19.
    trainer = make_trainer(1, optimizer={"optimizer": "sgd", "learning_rate": 1e-30})
    calls = []

    class Calls(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            calls.append(batch)

    history = trainer.fit(task.training(24, 1), epochs=3, steps_per_call=4, callbacks=[Calls()])
    assert calls == [3, 6, 10, 12, 16, 18]
    loss = trainer.evaluate(task.evaluation(24, 1))["loss"]
    order = np.concatenate([np.random.default_rng(e).permutation(150) for e in range(4)])
    expected = [loss[order[a * 24 : b * 24]].mean() for a, b in ((0, 7), (7, 13), (13, 19))]
    np.testing.assert_allclose(history.history["loss"], expected, rtol=1e-4)


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize(
    "head", [Head("softmax", "cross_entropy", 4), Head("linear", "categorical_hinge", 4), Head("linear", "hinge", 4)]
)
def test_evaluation_agrees_with_keras_own(make_trainer, task, replicas, head):
    trainer = make_trainer(replicas, head=head, l2=1e-2, batch_norm=True)
    trainer.fit(task.training(24, replicas), epochs=2)
    result = trainer.evaluate(task.evaluation(32, replicas))
    assert result["index"].tolist() == list(range(150))
    reference = keras.models.clone_model(trainer.model)
    reference.set_weights(trainer.model.get_weights())
    reference.compile(loss=head.keras_loss(), metrics=[head.keras_accuracy()])
    loss, accuracy = reference.evaluate(task.image, np.array(head.targets(task.label)), verbose=0)
    assert result["loss"].mean() == pytest.approx(loss, rel=1e-4)
    assert (result["scores"].argmax(1) == result["label"]).mean() == pytest.approx(accuracy)


def test_one_sigmoid_unit_gives_two_scores_that_add_to_1(make_trainer, task):
    task.label %= 2
    trainer = make_trainer(1, head=Head("sigmoid", "cross_entropy", 2))
    history = trainer.fit(task.training(24, 1), task.evaluation(24, 1), epochs=10)
    assert trainer.model.output_shape == (None, 1)
    scores = trainer.evaluate(task.evaluation(24, 1))["scores"]
    assert scores.shape == (150, 2)
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-6)
    assert history.history["val_accuracy"][-1] > 0.9


@pytest.mark.parametrize("replicas", [1, 2])
def test_keras_callbacks_work(make_trainer, task, replicas, tmp_path):
    trainer = make_trainer(replicas, optimizer={"optimizer": "sgd", "learning_rate": 1e-30})
    stop = keras.callbacks.EarlyStopping(monitor="val_accuracy", patience=4, restore_best_weights=True)
    history = trainer.fit(
        task.training(24, replicas),
        task.evaluation(24, replicas),
        epochs=20,
        callbacks=[
            stop,
            keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=1, min_delta=1.0),
            keras.callbacks.TensorBoard(tmp_path / "tensorboard"),
            keras.callbacks.CSVLogger(tmp_path / "log.csv"),
            keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.weights.h5", save_weights_only=True),
        ],
    )
    assert stop.stopped_epoch == 4 and len(history.history["loss"]) == 5
    np.testing.assert_allclose(history.history["learning_rate"], [1e-30, 1e-30, 5e-31, 2.5e-31, 1.25e-31], rtol=1e-5)
    assert len(list(csv.DictReader((tmp_path / "log.csv").open()))) == 5
    assert {p.name for p in (tmp_path / "tensorboard").iterdir()} == {"train", "validation"}
    assert (tmp_path / "5.weights.h5").exists()


def test_a_learning_rate_set_by_a_callback_reaches_the_step(make_trainer, task):
    trainer = make_trainer(2, optimizer={"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.0})

    class Halt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.optimizer.learning_rate = 0.0

    before = trainer.model.get_weights()
    trainer.fit(task.training(24, 2), epochs=1, callbacks=[Halt()])
    for old, new in zip(before, trainer.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_same_seed_gives_the_same_bits(make_trainer, task):
    runs = []
    for calls in (1, 5):
        trainer = make_trainer(1, batch_norm=True, dense_dropout=0.3)
        trainer.fit(task.training(24, 1), epochs=2, steps_per_call=calls)
        runs.append(trainer.model.get_weights())
    for a, b in zip(*runs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_loops_are_traced_once(make_trainer, task):
    traced = []
    trainer = make_trainer(1)
    call = trainer.model.stateless_call
    trainer.model.stateless_call = lambda *a, **k: traced.append(k["training"]) or call(*a, **k)
    trainer.fit(task.training(24, 1), task.evaluation(24, 1), epochs=4)
    assert traced.count(True) <= 2 and traced.count(False) <= 2, traced


@pytest.mark.parametrize("replicas", [1, 2])
def test_tf_data_tunes_nothing_unasked_since_an_iterator_that_goes_would_wait_for_it(
    make_trainer, task, replicas, monkeypatch
):
    trainer, given = make_trainer(replicas), []
    distribute = trainer.strategy.distribute_datasets_from_function
    monkeypatch.setattr(
        trainer.strategy,
        "distribute_datasets_from_function",
        lambda function: given.append(function(None).options()) or distribute(function),
    )
    asked = tf.data.Options()
    asked.autotune.enabled = True
    feed = task.evaluation(24, replicas)
    feed = dataclasses.replace(feed, dataset=feed.dataset.with_options(asked))
    trainer.fit(task.training(24, replicas), feed)
    assert [options.autotune.enabled for options in given] == [False, True]
