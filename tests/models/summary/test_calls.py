import keras
import pytest

from base.errors import InputError
from models.summary.calls import IMAGE, UNTRACED, calls_of


class Residual(keras.layers.Layer):
    """A block of one's own, that joins its shortcut between its layers."""

    def __init__(self, filters, sliced=False):
        super().__init__(name="residual")
        self.first = keras.layers.Conv2D(filters, 3, padding="same", name="first")
        self.second = keras.layers.Conv2D(filters, 3, padding="same", name="second")
        self.sliced = sliced

    def call(self, x):
        y = self.second(keras.ops.relu(self.first(x)))
        return y[:, ::2, ::2] if self.sliced else y + x


def described(calls):
    return [(call.name, call.kind, call.output.shape, [tensor.sources for tensor in call.inputs]) for call in calls]


def test_a_model_inside_a_model_is_opened_and_its_name_goes_in_front():
    inner = keras.Sequential([keras.Input((8, 8, 2)), keras.layers.Conv2D(4, 3, name="conv")], name="backbone")
    image = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(2, 1, name="stem")(image)
    x = inner(x)
    model = keras.Model(image, keras.layers.Flatten(name="flat")(x - keras.ops.mean(x, axis=(1, 2), keepdims=True)))
    assert described(calls_of(model, (8, 8, 1))) == [
        ("stem", "Conv2D", (8, 8, 2), [(IMAGE,)]),
        ("backbone/conv", "Conv2D", (6, 6, 4), [(0,)]),
        ("mean", "Mean", (1, 1, 4), [(1,)]),
        ("subtract", "Subtract", (6, 6, 4), [(1,), (2,)]),
        ("flat", "Flatten", (144,), [(3,)]),
    ]


def test_what_a_layer_of_ones_own_does_between_its_layers_is_followed_value_by_value():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 1, name="stem")(image)
    joined = keras.Model(image, keras.layers.ReLU(name="end")(Residual(4)(x)))
    assert described(calls_of(joined, (8, 8, 3)))[1:] == [
        ("residual/first", "Conv2D", (8, 8, 4), [(0,)]),
        ("residual/second", "Conv2D", (8, 8, 4), [(1,)]),
        ("end", "ReLU", (8, 8, 4), [(0, 2)]),
    ]
    sliced = keras.Model(image, keras.layers.ReLU(name="end")(Residual(4, sliced=True)(x)))
    assert calls_of(sliced, (8, 8, 3))[-1].inputs[0].sources == (UNTRACED,)


def test_precision_and_a_layer_that_is_called_twice_leave_the_graph_whole():
    keras.config.set_dtype_policy("mixed_bfloat16")
    shared = keras.layers.Conv2D(2, 3, padding="same", name="shared")
    image = keras.Input((8, 8, 2))
    x = keras.layers.Rescaling(1 / 255, dtype="float32", name="rescale")(image)
    model = keras.Model(image, shared(keras.layers.Dropout(0.5, name="drop")(shared(x))))
    calls = calls_of(model, (8, 8, 2))
    assert [call.name for call in calls] == ["rescale", "shared", "drop", "shared"]
    assert [call.inputs[0].sources for call in calls] == [(IMAGE,), (0,), (1,), (2,)]
    assert [call.output.dtype for call in calls] == ["float32", "bfloat16", "bfloat16", "bfloat16"]
    assert calls[0].operation.call.__self__ is calls[0].operation  # nothing of the tracing is left


def test_images_that_the_model_does_not_take_are_one_line():
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
    with pytest.raises(InputError, match=r"\[9, 9, 1\]") as error:
        calls_of(model, (9, 9, 1))
    assert "\n" not in str(error.value)
