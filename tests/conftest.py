"""Two logical CPU devices for the whole session: TensorFlow takes them only before it runs anything."""

import models  # noqa: F401  # isort: skip - before TensorFlow, which it sets up as in every command

import keras
import pytest

from models.training import hardware
from models.training.options import HardwareOptions

hardware.prepare(HardwareOptions(strategy="mirrored", replicas=2))


@pytest.fixture(autouse=True)
def float32_policy():
    """Precision is global to Keras: no test hands its own on to the next."""
    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")
