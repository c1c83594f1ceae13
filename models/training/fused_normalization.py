"""Batch normalisation by one kernel forward and one backward, in place of the dozen that Keras puts together.

With oneDNN a step of a small CNN (two blocks, 28x28, batch 64) takes 0.72 of the CPU time. XLA fuses the dozen by
itself, and TensorFlow's own kernel for the CPU is no faster than they are (1.1 of the time): neither gets this one. Nor
do dense layers: on so few numbers the kernel's own start costs more.
"""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf

from models.training.tensorflow_internals import is_onednn_on

_KERAS_CALL = keras.layers.BatchNormalization.call


def pays() -> bool:
    """Whether a fused kernel is faster than Keras' dozen uncompiled: oneDNN's is, and a GPU's."""
    return is_onednn_on() or bool(tf.config.list_logical_devices("GPU"))


@contextlib.contextmanager
def fused() -> Iterator[None]:
    """Lets `keras.layers.BatchNormalization`, where it trains on feature maps inside the block, use the fused kernel.

    The numbers are Keras' to rounding. What the kernel can't do Keras does: float64, masks, batch renormalisation,
    moments over several replicas, another axis than the last.
    """
    keras.layers.BatchNormalization.call = _call
    try:
        yield
    finally:
        keras.layers.BatchNormalization.call = _KERAS_CALL


def _call(
    layer: keras.layers.BatchNormalization,
    inputs: tf.Tensor,
    training: bool | None = None,
    mask: tf.Tensor | None = None,
) -> tf.Tensor:
    special = mask is not None or layer.renorm or layer.synchronized or inputs.dtype == tf.float64
    if special or not training or not layer.trainable or len(inputs.shape) != 4 or layer.axis not in (-1, 3):
        return _KERAS_CALL(layer, inputs, training=training, mask=mask)
    channels = inputs.shape[-1]
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=tf.cast(inputs, tf.float32),
        scale=tf.convert_to_tensor(layer.gamma) if layer.scale else tf.ones([channels]),
        offset=tf.convert_to_tensor(layer.beta) if layer.center else tf.zeros([channels]),
        mean=tf.zeros([0]),  # unused in training
        variance=tf.zeros([0]),
        epsilon=layer.epsilon,
        is_training=True,
    )
    count = tf.cast(tf.size(inputs) // channels, tf.float32)
    variance *= tf.maximum(count - 1, 1) / count  # the kernel gives the unbiased one, Keras keeps the other
    for average, new in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        average.assign(average * layer.momentum + new * (1 - layer.momentum))
    return tf.cast(outputs, layer.compute_dtype)
