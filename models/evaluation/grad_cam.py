"""Grad-CAM: which part of an image a model's score comes from.

Selvaraju et al.: Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization (2016),
https://arxiv.org/abs/1610.02391.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.heads import Head
from models.training.keras_internals import all_layers, in_mode, replaced_calls

_SQUASHING = ("softmax", "sigmoid")


def heat_maps(model: keras.Model, head: Head, images: np.ndarray, of: np.ndarray) -> tuple[np.ndarray, str] | None:
    """The Grad-CAM of one class for each image.

    It is taken of the score before the last softmax or sigmoid (of its logarithm after it, where that is no layer's
    activation), and of the last feature maps that are as large as those of the last convolution: normalised and
    activated, and not yet pooled. Without a convolution they are the last ones of more than one place that are no
    longer of the image's size and channels. Any model will do, functional, nested or subclassed: it runs eagerly.

    Args:
        model: From images to what its head gives.
        head: Its head.
        images: `[B, H, W, C]`, 0-255.
        of: int `[B]`, the class asked about.

    Returns:
        float32 `[B, H, W]`, 0 to 1, the highest of each image 1 unless nothing speaks for the class; and the name of
        the layer. None where the model has no spatial layer that its outputs depend on.
    """
    pixels = tf.convert_to_tensor(images, tf.float32)
    call = functools.partial(model, pixels, **in_mode(model, training=False))
    with _recorded(model) as seen:
        outputs = call()
    squashing = next((layer for layer, value in seen if value is outputs and _squashes(layer)), None)
    # The image is watched: feature maps may depend on no weight.
    with tf.GradientTape() as tape, _without_activation(squashing), _recorded(model) as seen:
        tape.watch(pixels)
        outputs = call()
        score = tf.reduce_sum(_score(outputs, head, of, logarithmic=squashing is None and head.name != "linear"))
    chosen = _chosen([(layer, value) for layer, value in seen if value.shape[1:] != pixels.shape[1:]])
    gradient = chosen and tape.gradient(score, chosen[1])
    if gradient is None:
        return None
    name, maps = chosen
    weights = tf.reduce_mean(tf.cast(gradient, tf.float32), axis=(1, 2), keepdims=True)
    maps = tf.nn.relu(tf.reduce_sum(weights * tf.cast(maps, tf.float32), axis=-1, keepdims=True))
    maps = tf.image.resize(maps, images.shape[1:3])[..., 0]
    highest = tf.reduce_max(maps, axis=(1, 2), keepdims=True)
    return tf.math.divide_no_nan(maps, highest).numpy(), name


def _score(outputs: tf.Tensor, head: Head, of: np.ndarray, *, logarithmic: bool) -> tf.Tensor:
    """The score `[B]` of each image's class."""
    if head.name == "sigmoid":
        signed = tf.where(tf.constant(of) == 1, outputs[:, 0], (1 - outputs[:, 0]) if logarithmic else -outputs[:, 0])
    else:
        signed = tf.gather(outputs, tf.constant(of), axis=1, batch_dims=1)
    return tf.math.log(signed + keras.config.epsilon()) if logarithmic else signed


Seen = list[tuple[keras.layers.Layer, tf.Tensor]]


def _chosen(seen: Seen) -> tuple[str, tf.Tensor] | None:
    """The layer and its feature maps, see `heat_maps`."""
    spatial = [(layer, maps) for layer, maps in seen if maps.shape.rank == 4 and maps.shape[1] * maps.shape[2] > 1]
    sizes = [maps.shape[1:3] for layer, maps in spatial if _convolves(layer)]
    alike = [(layer.name, maps) for layer, maps in spatial if not sizes or maps.shape[1:3] == sizes[-1]]
    # Of a layer inside a nested model both give the same maps: the inner one, which is done first, names them.
    return next((one for one in alike if one[1] is alike[-1][1]), None)


def _convolves(layer: keras.layers.Layer) -> bool:
    kinds = keras.layers
    return isinstance(layer, kinds.Conv2D | kinds.DepthwiseConv2D | kinds.SeparableConv2D | kinds.Conv2DTranspose)


def _squashes(layer: keras.layers.Layer) -> bool:
    return getattr(getattr(layer, "activation", None), "__name__", "") in _SQUASHING


@contextlib.contextmanager
def _without_activation(layer: keras.layers.Layer | None) -> Iterator[None]:
    """Lets a layer pass on what it gives to its activation."""
    if layer is None:
        yield
        return
    activation = layer.activation
    layer.__dict__["activation"] = keras.activations.linear  # past Keras' own `__setattr__`
    try:
        yield
    finally:
        layer.__dict__["activation"] = activation


@contextlib.contextmanager
def _recorded(model: keras.Model) -> Iterator[Seen]:
    """While it is open, gathers what the model's layers give, in the order in which they are done."""
    seen: Seen = []

    def keep(layer: keras.Operation, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        outputs = call(*args, **kwargs)
        if tf.is_tensor(outputs):
            seen.append((layer, outputs))
        return outputs

    with replaced_calls(all_layers(model), keep):
        yield seen
