"""Counts by hand, by papers, and by TensorFlow's profiler."""

import keras
import pytest
import tensorflow as tf

from models.summary.calls import calls_of
from models.summary.counting import count

L = keras.layers
PIXELS = (8, 6, 3)


def counted(layer, inputs=1):
    """Multiply-adds and operations of one layer, after as many copies of an image of 8 x 6 x 3."""
    image = keras.Input(PIXELS)
    model = keras.Model(image, layer([image] * inputs if inputs > 1 else image))
    [found] = [count(call) for call in calls_of(model, PIXELS)]
    return found and (found.multiply_adds, found.flops)


@pytest.mark.parametrize(
    ("layer", "multiply_adds", "others"),
    [
        (L.Conv2D(5, 3, padding="same", use_bias=False), 48 * 9 * 3 * 5, 0),
        (L.Conv2D(5, 3, activation="relu"), 6 * 4 * 9 * 3 * 5, 2 * 6 * 4 * 5),  # bias and activation
        (L.Conv2D(6, (1, 5), strides=2, padding="same", groups=3), 4 * 3 * 5 * 1 * 6, 4 * 3 * 6),
        (L.Conv2D(5, 3, dilation_rate=2, use_bias=False), 4 * 2 * 9 * 3 * 5, 0),
        (L.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False), 6 * 4 * 9 * 6, 0),
        (L.SeparableConv2D(7, 3, depth_multiplier=2), 6 * 4 * (9 * 6 + 6 * 7), 6 * 4 * 7),
        (L.Conv2DTranspose(5, 2, strides=2, use_bias=False), 48 * 4 * 3 * 5, 0),
        (L.Dense(5), 48 * 3 * 5, 48 * 5),  # of each place
        (L.MaxPooling2D(2), 0, 4 * 3 * 3 * 4),
        (L.AveragePooling2D(3, strides=1, padding="same"), 0, 144 * 9),
        (L.GlobalAveragePooling2D(), 0, 144),
        (L.BatchNormalization(), 0, 144 * 2),
        (L.LayerNormalization(), 0, 144 * 7),
        (L.ReLU(), 0, 144),
        (L.Dropout(0.5), 0, 0),
        (L.ZeroPadding2D(), 0, 0),
        (L.Flatten(), 0, 0),
        (L.RandomFlip(), 0, 0),
    ],
)
def test_a_layer_computes_what_a_pencil_says(layer, multiply_adds, others):
    assert counted(layer) == (multiply_adds, 2 * multiply_adds + others)


def test_merging_three_maps_takes_two_operations_a_value():
    assert counted(L.Add(), inputs=3) == (0, 144 * 2)
    assert counted(L.Concatenate(), inputs=3) == (0, 0)


def test_what_is_not_known_is_not_guessed():
    class Strange(L.Layer):
        def call(self, x):
            return keras.ops.matmul(x, keras.ops.transpose(x, (0, 1, 3, 2)))

    assert counted(Strange()) is None


def test_an_architecture_computes_what_its_paper_says():
    """Others: `tests/scripts/test_summary.py`."""
    counts = [count(call) for call in calls_of(keras.applications.MobileNet(weights=None), (224, 224, 3))]
    assert None not in counts
    assert sum(c.multiply_adds for c in counts) == pytest.approx(569e6, rel=0.02)  # Howard et al. 2017, table 4


def test_tensorflows_profiler_counts_the_same():
    layers = [
        *(L.Conv2D(8, 3, padding="same"), L.MaxPooling2D(2), L.DepthwiseConv2D(3), L.AveragePooling2D(2)),
        *(L.Conv2D(4, 3, strides=2, padding="same", use_bias=False), L.Flatten(), L.Dense(5)),
    ]
    model = keras.Sequential([keras.Input((32, 32, 3)), *layers])
    ours = sum(count(call).flops for call in calls_of(model, (32, 32, 3)))
    graph = tf.function(model, autograph=False).get_concrete_function(tf.TensorSpec((1, 32, 32, 3))).graph
    builder = tf.compat.v1.profiler.ProfileOptionBuilder
    options = builder(builder.float_operation()).with_empty_output().build()
    assert tf.compat.v1.profiler.profile(graph, options=options).total_float_ops == ours
