"""The Python API: a Keras model, an optimizer, a plain dataset."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from base.errors import InputError
from models.training import datasets
from models.training.hardware import prepare
from models.training.options import HardwareOptions
from models.training.trainer import Trainer
from tests.models.training.conftest import CLASSES, SIZE


def batches(task, size):
    return tf.data.Dataset.from_tensor_slices((task.image, task.label)).batch(size)


def build():
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(CLASSES, "softmax")]
    return keras.Sequential([keras.Input((SIZE, SIZE, 1)), *layers])


def test_a_plain_dataset_is_learnt_and_keras_own_evaluation_agrees(task):
    dataset = batches(task, 32)
    trainer = Trainer(build(), keras.optimizers.Adam(0.01))
    stopping = keras.callbacks.EarlyStopping("val_accuracy", patience=2, min_delta=2.0)
    history = trainer.fit(dataset, dataset, epochs=9, callbacks=[stopping])
    assert len(history.history["loss"]) == 3  # accuracy cannot rise by 2: the callback stopped it
    history = trainer.fit(dataset, dataset, epochs=20)
    assert history.history["val_accuracy"][-1] > 0.9
    loss, accuracy = trainer.model.evaluate(dataset, verbose=0)
    assert history.history["val_loss"][-1] == pytest.approx(loss, rel=1e-5)
    assert history.history["val_accuracy"][-1] == pytest.approx(accuracy)


def test_two_replicas_learn_the_same_from_a_plain_dataset(task):
    weights = []
    for replicas in (1, 2):
        options = HardwareOptions(strategy="mirrored" if replicas > 1 else "single", replicas=replicas)
        hardware = prepare(options)
        with hardware.strategy.scope():
            model = build()
        Trainer(model, keras.optimizers.SGD(0.01), hardware=hardware).fit(batches(task, 32), epochs=3)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        assert np.linalg.norm(a - b) < 1e-5 * np.linalg.norm(a)


@pytest.mark.parametrize("replicas", [1, 2])
def test_every_example_comes_once_an_epoch_and_once_in_an_evaluation(task, replicas):
    names = np.arange(150, dtype=np.int32)
    dataset = tf.data.Dataset.from_tensor_slices((names[:, None], names)).shuffle(150, seed=1).batch(32)
    feed = datasets.training_feed(dataset, replicas=replicas)
    assert (feed.examples, feed.batch_size) == (150, 32)
    parts = list(feed.dataset.take(-(-300 // 32) * replicas).as_numpy_iterator())
    assert {len(part["label"]) for part in parts} == {32 // replicas}
    seen = np.concatenate([part["label"] for part in parts])
    assert sorted(seen[:150]) == sorted(seen[150:300]) == list(range(150))
    assert list(seen[:150]) != list(seen[150:300])
    np.testing.assert_array_equal(np.concatenate([p["epoch"] for p in parts]), np.arange(len(seen)) // 150)
    parts = list(datasets.evaluation_feed(dataset, replicas=replicas).dataset.as_numpy_iterator())
    assert len(parts) == 5 * replicas
    label, weight = (np.concatenate([part[name] for part in parts]) for name in ("label", "weight"))
    assert sorted(label[weight > 0]) == list(range(150)) and len(label) == 160


@pytest.mark.parametrize(
    ("dataset", "named"),
    [
        (tf.data.Dataset.from_tensors((np.zeros((4, 2, 2, 1)), np.zeros((4, 3)))), "integer labels"),
        (tf.data.Dataset.from_tensors(np.zeros((4, 2, 2, 1))), "(image, label)"),
        (tf.data.Dataset.from_tensors((np.zeros((4, 2, 2, 1)), np.zeros(4, int))).repeat(), "finite"),
        (tf.data.Dataset.from_tensors((np.zeros((3, 2, 2, 1)), np.zeros(3, int))), "multiple of the 2 replicas"),
    ],
)
def test_other_datasets_are_refused(dataset, named):
    with pytest.raises(InputError) as error:
        datasets.training_feed(dataset, replicas=2)
    assert named in str(error.value)
