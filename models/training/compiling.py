"""A model made ready to be trained, saved, and found by callbacks as Keras' own `compile` leaves it."""

import keras
import tensorflow as tf

from models.heads import Head
from models.training.keras_internals import build_metrics


def head_of(model: keras.Model) -> Head:
    """The head that a model's outputs `[B, units]` stand for: softmax, or for one unit sigmoid."""
    units = model.output_shape[-1]
    return Head("sigmoid", "cross_entropy", 2) if units == 1 else Head("softmax", "cross_entropy", units)


def compile_model(model: keras.Model, head: Head, optimizer: keras.optimizers.Optimizer) -> None:
    """Compiles and builds a model with its real optimizer, loss and metrics, so that callbacks find them.

    Call it under the strategy's scope.
    """
    compile_with(model, head, optimizer)
    optimizer.build(model.trainable_variables)
    label = tf.zeros([1], tf.int32)
    build_metrics(model, head.targets(label), tf.zeros([1, head.units], keras.backend.floatx()))


def compile_with(model: keras.Model, head: Head, optimizer: keras.optimizers.Optimizer) -> None:
    """Compiles `model` with its head's loss and accuracy, and `optimizer` as it is."""
    # Loss scaling is the step's: Keras' own looks at one replica's gradients, before the all-reduce.
    model.compile(
        optimizer, head.keras_loss(), metrics=[head.keras_accuracy()], auto_scale_loss=False, jit_compile=False
    )
