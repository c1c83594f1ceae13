"""Batch normalisation over the global batch, instead of each replica's own part."""

import keras

from models.training.keras_internals import all_layers


def synchronize(model: keras.Model) -> int:
    """Makes every batch normalisation of a model take its moments over all replicas.

    Returns:
        How many there are.
    """
    layers = [layer for layer in all_layers(model) if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in layers:
        layer.synchronized = True
    return len(layers)
