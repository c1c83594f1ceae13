"""Receptive fields by hand, by publication, and as gradients show them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.summary.calls import calls_of
from models.summary.receptive_field import Extent, Field, receptive_fields

L = keras.layers


def fields(model, shape):
    calls = calls_of(model, shape)
    return {call.name: field for call, field in zip(calls, receptive_fields(calls), strict=True)}


def last_field(*layers, size=32):
    return list(fields(keras.Sequential([keras.Input((size, size, 1)), *layers]), (size, size, 1)).values())[-1]


def square(size, stride, start):
    return Field((size, size), (stride, stride), (start, start))


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([L.Conv2D(1, 3)], square(3, 1, 0)),
        ([L.Conv2D(1, 3, padding="same"), L.BatchNormalization(), L.ReLU()], square(3, 1, -1)),
        ([L.Conv2D(1, 3), L.Conv2D(1, 3), L.MaxPooling2D(2), L.Conv2D(1, 3)], square(10, 2, 0)),
        # 32 places, steps of two, windows of three: one place of padding is needed, behind.
        ([L.Conv2D(1, 3, strides=2, padding="same")], square(3, 2, 0)),
        ([L.ZeroPadding2D(((1, 0), (1, 0))), L.Conv2D(1, 3, strides=2)], square(3, 2, -1)),
        ([L.Conv2D(1, 3, dilation_rate=4, padding="same")], square(9, 1, -4)),
        ([L.MaxPooling2D(2), L.Cropping2D(3), L.Conv2D(1, 1)], square(2, 2, 6)),
        ([L.Conv2D(1, (1, 7), strides=(1, 2), padding="same")], Field((1, 7), (1, 2), (0, -2))),
        ([L.Conv2D(1, 3), L.GlobalAveragePooling2D(), L.Dense(2)], Extent.WHOLE),
        ([L.Conv2D(1, 3), L.Flatten()], Extent.WHOLE),
        ([L.LayerNormalization()], square(1, 1, 0)),
        ([L.LayerNormalization(axis=(1, 2, 3))], Extent.UNKNOWN),
        ([L.Permute((2, 1, 3)), L.Conv2D(1, 3)], Extent.UNKNOWN),
    ],
)
def test_windows_strides_and_padding_add_up(layers, expected):
    assert last_field(*layers) == expected


def test_a_merge_takes_in_the_fields_of_all_its_maps():
    image = keras.Input((32, 32, 1))
    wide = L.Conv2D(1, 5, strides=2, padding="same", name="wide")(image)  # from -1 to 3
    narrow = L.Conv2D(1, 1, strides=2, name="narrow")(image)
    early = L.Cropping2D(((0, 1), (0, 1)))(L.ZeroPadding2D(((1, 0), (1, 0)))(narrow))  # a place further in front
    found = fields(keras.Model(image, L.Add(name="sum")([L.Add(name="two")([wide, narrow]), early])), (32, 32, 1))
    assert found["two"] == found["wide"] == square(5, 2, -1)
    assert found["sum"] == square(6, 2, -2)


def test_squeeze_and_excitation_leaves_the_field_of_the_maps_that_it_weighs():
    image = keras.Input((32, 32, 4))
    maps = L.Conv2D(4, 3, name="maps")(image)
    gate = L.Dense(4, activation="sigmoid", name="gate")(L.GlobalAveragePooling2D(keepdims=True)(maps))
    found = fields(keras.Model(image, L.Multiply(name="weighed")([maps, gate])), (32, 32, 4))
    assert found["gate"] is Extent.WHOLE and found["weighed"] == found["maps"] == square(3, 1, 0)


def test_moving_or_adding_channels_leaves_the_field_of_the_maps():
    image = keras.Input((32, 32, 3))
    maps = L.Conv2D(4, 3, name="maps")(keras.ops.take(image, [2, 1, 0], axis=-1))
    more = keras.ops.pad(maps, [[0, 0], [0, 0], [0, 0], [2, 2]])
    moved = keras.ops.pad(more, [[0, 0], [0, 1], [0, 0], [0, 0]])
    found = fields(keras.Model(image, moved), (32, 32, 3))
    assert [*found.values()] == [square(1, 1, 0), square(3, 1, 0), square(3, 1, 0), Extent.UNKNOWN]


def test_an_architecture_sees_what_is_published():
    """Araujo, Norris, Sim 2019 (Distill), table of architectures. Others: `tests/scripts/test_summary.py`."""
    model = keras.applications.MobileNet(weights=None, include_top=False, input_shape=(64, 64, 3))
    found = list(fields(model, (64, 64, 3)).values())[-1]
    assert found.size == (315, 315) and found.stride == (32, 32)


def test_gradients_are_not_zero_exactly_inside_the_field():
    positive = {"kernel_initializer": "ones"}
    image = keras.Input((47, 47, 1))
    x = L.Conv2D(1, 5, strides=2, padding="same", **positive)(image)
    x = L.AveragePooling2D(2)(x)
    y = L.Conv2D(1, 3, dilation_rate=2, padding="same", **positive)(x)
    model = keras.Model(image, L.Add(name="end")([x, y]))
    field = fields(model, (47, 47, 1))["end"]
    for place in [(0, 0), (3, 5), (8, 2)]:
        pixels = tf.Variable(tf.ones((1, 47, 47, 1)))
        with tf.GradientTape() as tape:
            value = model(pixels)[0, place[0], place[1], 0]
        seen = np.argwhere(tape.gradient(value, pixels)[0, :, :, 0].numpy() != 0)
        first = np.array(field.start) + np.array(place) * field.stride
        np.testing.assert_array_equal(seen.min(axis=0), np.maximum(first, 0))
        np.testing.assert_array_equal(seen.max(axis=0), np.minimum(first + field.size, 47) - 1)
