import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.training import fused_normalization


def make_model(*layers):
    keras.utils.set_random_seed(2)
    return keras.Sequential([keras.Input((6, 5, 3)), *layers])


def step_of(model, images, *, fused):
    """Outputs, gradients and new state of one training step."""
    with tf.GradientTape() as tape:
        weights = [tf.convert_to_tensor(v) for v in model.trainable_variables]
        state = [tf.convert_to_tensor(v) for v in model.non_trainable_variables]
        tape.watch([images, *weights])
        if fused:
            with fused_normalization.fused():
                outputs, new_state = model.stateless_call(weights, state, images, training=True)
        else:
            outputs, new_state = model.stateless_call(weights, state, images, training=True)
        total = tf.reduce_sum(tf.cast(outputs, tf.float32) ** 3)
    return [outputs, *tape.gradient(total, [images, *weights]), *new_state]


@pytest.mark.parametrize("settings", [{}, {"scale": False}, {"center": False}, {"momentum": 0.5, "epsilon": 0.1}])
def test_the_fused_kernel_gives_keras_outputs_gradients_and_moving_averages(settings):
    images = tf.constant(np.random.default_rng(0).normal(3, 2, (7, 6, 5, 3)), tf.float32)
    model = make_model(keras.layers.BatchNormalization(**settings))
    plain, fused = step_of(model, images, fused=False), step_of(model, images, fused=True)
    for a, b in zip(plain, fused, strict=True):
        assert np.linalg.norm(a - b) <= 1e-5 * np.linalg.norm(a)
    assert any((a.numpy() != b.numpy()).any() for a, b in zip(plain, fused, strict=True))  # it is another kernel


def test_what_the_kernel_cannot_do_keras_does():
    images = tf.constant(np.random.default_rng(0).normal(3, 2, (7, 6, 5, 3)), tf.float32)
    frozen = keras.layers.BatchNormalization()
    frozen.trainable = False
    for layers in (
        [frozen],
        [keras.layers.BatchNormalization(axis=1)],
        [keras.layers.BatchNormalization(renorm=True)],
        [keras.layers.Flatten(), keras.layers.BatchNormalization()],
        [keras.layers.BatchNormalization(dtype="float64")],
    ):
        model = make_model(*layers)
        for a, b in zip(step_of(model, images, fused=False), step_of(model, images, fused=True), strict=True):
            np.testing.assert_array_equal(a, b)


def test_outside_the_block_batch_normalisation_is_keras_own():
    before = keras.layers.BatchNormalization.call
    with pytest.raises(ZeroDivisionError), fused_normalization.fused():
        raise ZeroDivisionError
    assert keras.layers.BatchNormalization.call is before


def test_models_turns_onednn_on_where_it_is_imported_first_and_nobody_said_otherwise():
    code = "import models; from models.training import fused_normalization; print(fused_normalization.pays())"
    for wish, expected in ((None, "True"), ("0", "False")):
        environment = {k: v for k, v in os.environ.items() if k != "TF_ENABLE_ONEDNN_OPTS"}
        environment |= {"CUDA_VISIBLE_DEVICES": "-1"} | ({"TF_ENABLE_ONEDNN_OPTS": wish} if wish else {})
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.split() == [expected]
