"""A trained model -> `model.keras`, which plain Keras loads, compiled, and goes on training."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import keras

from base import files
from models.heads import Head
from models.training.keras_internals import moving_averages
from models.training.loss_scale import LossScale


def save_model(model: keras.Model, head: Head, path: Path, loss_scale: LossScale | None = None) -> None:
    """Saves model, weights, optimizer and compilation, whole or not at all.

    Args:
        model: Compiled and built.
        head: Its head.
        path: Ends in `.keras`.
        loss_scale: Of mixed_float16: Keras keeps its own in a wrapper around the optimizer, which is what a process
            that goes on with `fit` needs.
    """
    optimizer = model.optimizer
    if loss_scale is not None:
        scaled = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=float(loss_scale.scale.numpy()))
        compile_with(model, head, scaled)
        scaled.build(model.trainable_variables)
    try:
        with files.whole_file(path, suffix=".keras") as temporary:
            model.save(temporary)
    finally:
        if loss_scale is not None:
            compile_with(model, head, optimizer)


@contextlib.contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """Where the weights are their moving averages, if the model's optimizer keeps them."""
    averages = moving_averages(model.optimizer) or []
    own = [(variable, variable.numpy()) for variable in model.trainable_variables[: len(averages)]]
    for (variable, _), average in zip(own, averages, strict=True):
        variable.assign(average)
    try:
        yield
    finally:
        for variable, value in own:
            variable.assign(value)


def compile_with(model: keras.Model, head: Head, optimizer: keras.optimizers.Optimizer) -> None:
    """Compiles `model` with its head's loss and accuracy, and `optimizer` as it is."""
    # Loss scaling is the step's: Keras' own looks at one replica's gradients, before the all-reduce.
    model.compile(
        optimizer, head.keras_loss(), metrics=[head.keras_accuracy()], auto_scale_loss=False, jit_compile=False
    )
