"""By hand: what a step of training holds, of one image."""

import keras
import pytest

from models.summary.calls import calls_of
from models.summary.memory import activation_bytes, memory_of

L = keras.layers
SHAPE = (8, 8, 3)


def kept(*layers):
    """float32 numbers that are held of one image."""
    model = keras.Sequential([keras.Input(SHAPE), *layers])
    return activation_bytes(calls_of(model, SHAPE)) / 4


@pytest.mark.parametrize(
    ("layers", "numbers"),
    [
        # A kernel's gradient needs what came in; a sum, nothing.
        ([L.Rescaling(1 / 255), L.Conv2D(4, 1)], 64 * 3),
        # What the ReLU gave is also what the next convolution takes.
        ([L.Conv2D(4, 1), L.ReLU(), L.Conv2D(5, 1)], 64 * 3 + 64 * 4),
        ([L.Conv2D(4, 1), L.BatchNormalization(), L.ReLU()], 64 * 3 + 2 * 64 * 4),
        ([L.Conv2D(4, 1), L.MaxPooling2D(2), L.Flatten(), L.Dense(2)], 64 * 3 + 64 * 4 + 16 * 4),
        ([L.Conv2D(4, 1), L.AveragePooling2D(2), L.Flatten(), L.Dense(2)], 64 * 3 + 16 * 4),
        # A byte for each value that may have been dropped.
        ([L.Conv2D(4, 1), L.Dropout(0.5), L.Conv2D(4, 1)], 64 * 3 + 64 + 64 * 4),
        ([L.SeparableConv2D(4, 1, depth_multiplier=2)], 64 * 3 + 64 * 6),
        # Frozen: only the way back through what is not linear.
        ([L.Conv2D(4, 1, trainable=False), L.ReLU(), L.Conv2D(5, 1)], 64 * 4),
        ([L.Conv2D(4, 1), L.BatchNormalization(trainable=False), L.Conv2D(5, 1, trainable=False), L.ReLU()],
         64 * 3 + 64 * 5),
        ([L.Conv2D(4, 1, trainable=False), L.BatchNormalization(trainable=False)], 0),
        # Below what is trained nothing has to find its way back.
        ([L.Conv2D(4, 1, trainable=False), L.ReLU(), L.MaxPooling2D(2), L.Flatten(), L.Dense(2)], 16 * 4),
    ],
)  # fmt: skip
def test_the_backward_pass_needs_so_much_of_the_forward_pass(layers, numbers):
    assert kept(*layers) == numbers


def test_weights_gradients_and_slots_follow_from_what_is_trained():
    model = keras.Sequential([keras.Input(SHAPE), L.Conv2D(4, 1, trainable=False), L.Flatten(), L.Dense(10)])
    calls = calls_of(model, SHAPE)
    adam = memory_of(model, calls, keras.optimizers.Adam(), batch_size=5)
    assert adam.weights == 4 * (3 * 4 + 4 + 256 * 10 + 10)
    assert adam.gradients == 4 * (256 * 10 + 10)
    assert adam.optimizer == 2 * adam.gradients + 8 + 4  # two slots; the step's number and the rate
    assert adam.activations == 5 * 4 * 256
    assert adam.working == 5 * 4 * (256 + 256)  # of flattening
    assert adam.total == adam.weights + adam.gradients + adam.optimizer + adam.activations + adam.working
    plain = memory_of(model, calls, keras.optimizers.SGD(), batch_size=5)
    assert plain.optimizer == 8 + 4 + 0


def test_half_the_precision_holds_half_the_activations():
    whole = kept(L.Conv2D(4, 1), L.ReLU(), L.Conv2D(5, 1))
    keras.config.set_dtype_policy("mixed_bfloat16")
    assert kept(L.Conv2D(4, 1), L.ReLU(), L.Conv2D(5, 1)) == whole / 2
