"""A trained model -> `model.keras`, which plain Keras loads, compiled, and goes on training."""

from pathlib import Path

import keras

from base import files
from models.training.loss_scale import LossScale


def save_model(model: keras.Model, path: Path, loss_scale: LossScale | None = None) -> None:
    """Saves model, weights, optimizer and compilation, whole or not at all.

    Args:
        model: Compiled and built.
        path: Ends in `.keras`.
        loss_scale: Of mixed_float16. Keras keeps its own in a wrapper around the optimizer, without which the saved
            optimizer state would not be found again.
    """
    optimizer = model.optimizer
    if loss_scale is not None:
        wrapper = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=float(loss_scale.scale.numpy()))
        wrapper.build(model.trainable_variables)
        model.optimizer = wrapper
    try:
        with files.whole_file(path, suffix=".keras") as temporary:
            model.save(temporary)
    finally:
        model.optimizer = optimizer
