"""Names the private parts of Keras that a new version has moved."""

import typing

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.backend.tensorflow.optimizer import TFOptimizer
from keras.src.optimizers.base_optimizer import BaseOptimizer

from models.training.keras_internals import (
    build_metrics,
    in_mode,
    is_seed,
    pure_optimizer,
    reset_names,
    without_kernels,
)
from models.training.optimizers import build_optimizer
from models.training.options import OptimizerName, OptimizerOptions

METHODS = ["_backend_apply_gradients", "_backend_update_step", "_var_key", "assign", "assign_add", "stateless_apply"]


@pytest.mark.parametrize("name", METHODS)
def test_keras_has_the_neutral_method(name):
    assert name in vars(BaseOptimizer)


@pytest.mark.parametrize("name", METHODS[1:])
def test_tensorflows_optimizer_overrides_the_method(name):
    assert name in vars(TFOptimizer)


@pytest.mark.parametrize(
    ("name", "compiled"), [*((name, False) for name in typing.get_args(OptimizerName)), ("adam", True), ("sgd", True)]
)
def test_the_pure_update_is_keras_own_update(name, compiled):
    options = OptimizerOptions(optimizer=name, learning_rate=0.1, weight_decay=0.01)
    kernel, bias = np.float32([[1, -2], [3, 4]]), np.float32([1, 1])
    gradients = [tf.constant(kernel * 0.3), tf.constant(bias * -0.2)]

    def built():
        variables = [keras.Variable(kernel, name="kernel"), keras.Variable(bias, name="bias")]
        optimizer = build_optimizer(options)
        optimizer.build(variables)
        return optimizer, variables

    optimizer, variables = built()
    for _ in range(3):
        optimizer.apply(gradients, variables)
    own, own_variables = built()
    pure = pure_optimizer(own)
    step = tf.function(lambda s, w: pure.stateless_apply(s, gradients, w), jit_compile=compiled, autograph=False)
    weights, slots = [v.value for v in own_variables], [v.value for v in own.variables]
    for _ in range(3):
        weights, slots = step(slots, weights)
    for expected, received in zip([*variables, *optimizer.variables], [*weights, *slots], strict=True):
        np.testing.assert_allclose(received, expected.numpy(), rtol=1e-6)
    np.testing.assert_array_equal(own_variables[0].numpy(), kernel)  # the variables themselves are untouched
    assert type(own).__module__.startswith("keras.")


@pytest.mark.parametrize("name", typing.get_args(OptimizerName))
def test_a_share_of_the_learning_rate_is_a_smaller_learning_rate(name):
    values, shares = [np.float32([[1, -2], [3, 4]]), np.float32([[2, 1], [-1, 5]])], (1.0, 0.125)
    gradients = [tf.constant(values[0] * 0.3), tf.constant(values[1] * -0.2)]
    expected = []
    for value, share, gradient in zip(values, shares, gradients, strict=True):
        alone = [keras.Variable(value, name="kernel")]
        options = OptimizerOptions(optimizer=name, learning_rate=0.5 * share, weight_decay=0.01)
        optimizer = build_optimizer(options)
        optimizer.build(alone)
        for _ in range(3):
            optimizer.apply([gradient], alone)
        expected.append(alone[0].numpy())
    variables = [keras.Variable(value, name="kernel") for value in values]
    both = build_optimizer(OptimizerOptions(optimizer=name, learning_rate=0.5, weight_decay=0.01))
    both.build(variables)
    pure = pure_optimizer(both, shares)
    weights, slots = [v.value for v in variables], [v.value for v in both.variables]
    for _ in range(3):
        weights, slots = pure.stateless_apply(slots, gradients, weights)
    for one, other in zip(expected, weights, strict=True):
        np.testing.assert_allclose(other, one, rtol=2e-6)
    assert not np.allclose(expected[1], values[1])


def test_weight_decay_leaves_biases_alone():
    optimizer = build_optimizer(OptimizerOptions(optimizer="sgd", learning_rate=0.1, momentum=0.0, weight_decay=0.5))
    variables = [keras.Variable([1.0], name="kernel"), keras.Variable([1.0], name="bias")]
    optimizer.build(variables)
    weights, _ = pure_optimizer(optimizer).stateless_apply(
        [v.value for v in optimizer.variables], [tf.zeros([1])] * 2, [v.value for v in variables]
    )
    assert [float(w[0]) for w in weights] == pytest.approx([0.95, 1.0])


def test_a_dropout_layer_keeps_its_seed_under_the_name_that_we_look_for():
    model = keras.Sequential([keras.Input([3]), keras.layers.Dropout(0.5)])
    assert [is_seed(v) for v in model.non_trainable_variables] == [True]


def test_metrics_can_be_built_without_a_step():
    model = keras.Sequential([keras.Input([3]), keras.layers.Dense(2)])
    model.compile(loss="mse", metrics=["mae"])
    build_metrics(model, tf.zeros([1, 2]), tf.zeros([1, 2]))
    assert "mae" in {metric.name for group in model.metrics for metric in getattr(group, "metrics", [group])}


def test_a_model_says_whether_its_call_takes_the_mode():
    class Without(keras.Model):
        def call(self, x):
            return x

    class With(keras.Model):
        def call(self, x, training=False):
            return x

    assert in_mode(Without(), training=True) == {}
    assert in_mode(With(), training=True) == in_mode(keras.Sequential(), training=True) == {"training": True}


def test_the_names_that_keras_gives_start_anew():
    names = []
    for _ in range(2):
        reset_names()
        names.append([keras.layers.Dense(1).name for _ in range(2)])
    assert names == [["dense", "dense_1"]] * 2


def test_kernels_without_values_have_a_shape_a_type_and_an_optimizer_and_take_no_memory():
    with without_kernels():
        model = keras.Sequential([keras.Input((10**6,)), keras.layers.Dense(10**6, name="dense")])
        optimizer = keras.optimizers.Adam()
        optimizer.build(model.trainable_variables)
    kernel, bias = model.trainable_variables
    assert kernel.shape == (10**6, 10**6) and kernel.dtype == "float32" and kernel.path.endswith("dense/kernel")
    assert sum(slot.shape == kernel.shape for slot in optimizer.variables) == 2
    assert kernel.numpy().size == 0
    assert bias.numpy().sum() == 0
    usual = keras.layers.Dense(2)
    usual.build((None, 3))
    assert usual.kernel.numpy().shape == (3, 2)
