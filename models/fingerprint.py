"""What a model computes, named: equal for equal layers and weights, wherever the weights came from."""

import hashlib
import json
from typing import Any

import keras
import numpy as np

# Of a layer, and without a say in what it gives in inference.
_LEFT_OUT = ("trainable", "momentum")


def layers_fingerprint(model: keras.Model) -> str:
    """Of a model's layers, their configuration and how they are joined: 16 hex digits.

    Preprocessing, input size, precision and pooling are in it; which layers are trained is not.
    """
    content = json.dumps(_without(json.loads(model.to_json())), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def weights_fingerprint(model: keras.Model) -> str:
    """Of the values of a model's weights, in order: 16 hex digits."""
    digest = hashlib.sha256()
    for variable in model.weights:
        values = np.ascontiguousarray(keras.ops.convert_to_numpy(variable))
        digest.update(f"{values.dtype.name} {values.shape} ".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()[:16]


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without(item) for name, item in value.items() if name not in _LEFT_OUT}
    return [_without(item) for item in value] if isinstance(value, list) else value
