"""A trained model -> the same in float32, whatever it was trained in: runtimes elsewhere know no mixed precision."""

import json
import re

import keras

from models.own_model import needs_its_file
from models.training.keras_internals import in_mode


def in_float32(model: keras.Model, image_shape: tuple[int, int, int]) -> keras.Model:
    """A functional model with the same weights that computes in float32.

    Args:
        model: Takes pixels `[B, H, W, C]`, 0-255.
        image_shape: (H, W, C).

    Returns:
        From pixels float32 `[B, H, W, C]`, 0-255, to what `model` gives, float32. One that is made of classes of the
        user's own computes as it did.
    """
    if not needs_its_file(model):
        model = _with_policy(model)
    image = keras.Input(image_shape, dtype="float32", name="image")
    return keras.Model(image, model(image, **in_mode(model, training=False)), name=model.name)


def _with_policy(model: keras.Model) -> keras.Model:
    config = json.dumps(keras.saving.serialize_keras_object(model))
    plain = re.sub(r'"mixed_b?float16"', '"float32"', config)
    if plain == config:
        return model
    twin = keras.saving.deserialize_keras_object(json.loads(plain))
    twin.set_weights(model.get_weights())
    return twin
