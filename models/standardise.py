"""Standardisation: the model's first layers, from numbers that were fitted on the training split.

Layers and operations of Keras itself, so that a saved model has them where Millrace is not installed.
"""

import dataclasses
from typing import Any

import keras
import numpy as np

_EPSILON = 1e-6  # Keras' ImageDataGenerator adds it to every standard deviation


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standardisation:
    """What is done to pixels, in the order of `ImageDataGenerator.standardize`: that of the fields."""

    rescale: float | None = 1 / 255
    samplewise_center: bool = False
    samplewise_std: bool = False
    mean: tuple[float, ...] | None = None  # of each rescaled channel, to be subtracted
    std: tuple[float, ...] | None = None  # of each rescaled channel, to be divided by; only beside `mean`
    zca: np.ndarray | None = None  # float32 [H * W * C, H * W * C]

    def describe(self) -> str:
        """In a line."""
        names = {
            f"pixels {_factor(self.rescale)}": self.rescale is not None,
            "each image's mean subtracted": self.samplewise_center,
            "divided by each image's standard deviation": self.samplewise_std,
            f"channels' means {_listed(self.mean)} subtracted": self.mean is not None,
            f"divided by channels' standard deviations {_listed(self.std)}": self.std is not None,
            "whitened (ZCA)": self.zca is not None,
        }
        return ", ".join(name for name, done in names.items() if done) or "pixels as they are"

    def to_dict(self) -> dict[str, Any]:
        """The fitted numbers for JSON; of the ZCA matrix, which the model's weights hold, the shape."""
        return {**vars(self), "zca": None if self.zca is None else list(self.zca.shape)}


def _factor(rescale: float | None) -> str:
    return "divided by 255" if rescale == 1 / 255 else f"times {rescale or 1:.6g}"


# Without any option: grey levels to 0 to 1.
DEFAULT = Standardisation()


def standardised(image: keras.KerasTensor, how: Standardisation) -> keras.KerasTensor:
    """The layers of a standardisation, in float32 whatever the precision of the layers that follow.

    Args:
        image: Pixels `[B, H, W, C]`, 0-255.
        how: With numbers for C channels.

    Returns:
        `[B, H, W, C]`, float32 (float64 under that policy).
    """
    dtype = "float64" if keras.config.dtype_policy().compute_dtype == "float64" else "float32"
    x = image
    if how.rescale is not None:
        x = keras.layers.Rescaling(how.rescale, dtype=dtype, name="rescale")(x)
    if how.samplewise_center:
        x = x - keras.ops.mean(x, axis=(1, 2, 3), keepdims=True)
    if how.samplewise_std:
        x = x / (keras.ops.std(x, axis=(1, 2, 3), keepdims=True) + _EPSILON)
    if how.mean is not None:
        deviation = np.ones(len(how.mean)) if how.std is None else np.array(how.std) + _EPSILON
        x = keras.layers.Normalization(mean=how.mean, variance=deviation**2, dtype=dtype, name="standardise")(x)
    if how.zca is not None:
        x = _whitened(x, how.zca, dtype)
    return x


def _whitened(x: keras.KerasTensor, matrix: np.ndarray, dtype: str) -> keras.KerasTensor:
    shape = x.shape[1:]
    dense = keras.layers.Dense(len(matrix), use_bias=False, trainable=False, dtype=dtype, name="zca")
    x = keras.layers.Reshape(shape, dtype=dtype, name="whitened")(
        dense(keras.layers.Reshape((len(matrix),), dtype=dtype, name="values")(x))
    )
    dense.set_weights([matrix])
    return x


def _listed(values: tuple[float, ...] | None) -> str:
    return ", ".join(f"{value:.4g}" for value in values or ())
