"""What stands between pixels and an architecture of `keras.applications`: what its ImageNet weights were trained on.

Layers and operations of Keras itself, so that a saved model has them where Millrace is not installed.
"""

import keras
import numpy as np

from models.backbones.table import Preprocessing

_MEAN = np.array([0.485, 0.456, 0.406])  # of ImageNet's pixels, 0 to 1, red, green, blue
_DEVIATION = np.array([0.229, 0.224, 0.225])
_CAFFE_MEAN = (103.939, 116.779, 123.68)  # of its pixels, 0 to 255, blue, green, red


def preprocessed(image: keras.KerasTensor, how: Preprocessing) -> keras.KerasTensor:
    """The layers that do what `preprocess_input` of an architecture's module in `keras.applications` does, in float32
    whatever the precision of the layers that follow.

    Args:
        image: Pixels `[B, H, W, 1 or 3]`, 0-255.
        how: See `Backbone`.

    Returns:
        `[B, H, W, 3]`, float32 (float64 under that policy).
    """
    dtype = float_type()
    grey = image.shape[-1] == 1
    x = keras.layers.Concatenate(dtype=dtype, name="grey_to_rgb")([image] * 3) if grey else image
    if how == "tf":
        return keras.layers.Rescaling(1 / 127.5, offset=-1.0, dtype=dtype, name="preprocess")(x)
    if how == "torch":
        mean, variance = (255 * _MEAN).tolist(), ((255 * _DEVIATION) ** 2).tolist()
        return keras.layers.Normalization(mean=mean, variance=variance, dtype=dtype, name="preprocess")(x)
    if how == "caffe":
        x = x if grey else keras.ops.take(x, [2, 1, 0], axis=-1)
        return keras.layers.Normalization(mean=_CAFFE_MEAN, variance=[1.0] * 3, dtype=dtype, name="preprocess")(x)
    return x


def set_input_statistics(model: keras.Model, *, loaded: bool) -> None:
    """Gives EfficientNet (the first) ImageNet's mean and variance where it would be without.

    Its normalisation has them as weights. Drawn at random it would pass pixels on from 0 to 1. And the published
    weights hold standard deviations in the place of variances (https://github.com/tensorflow/tensorflow/issues/49930),
    which Keras makes up for by another layer, but only with `weights="imagenet"`, not with the same file.

    Args:
        model: Any; other architectures have no such weights.
        loaded: Whether its weights are from a file, which may hold other statistics.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            _, variance, count = layer.get_weights()
            if not loaded or abs(variance - _DEVIATION).max() < 1e-3:
                layer.set_weights([_MEAN, _DEVIATION**2, count])
            layer.finalize_state()


def float_type() -> str:
    """float32 at least, whatever the layers compute in."""
    return "float64" if keras.config.dtype_policy().compute_dtype == "float64" else "float32"
