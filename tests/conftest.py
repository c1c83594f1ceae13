"""What holds for the whole session."""

import models  # noqa: F401  # isort: skip - before TensorFlow, which it sets up as in every command

import signal

import keras
import pytest

from models.training import hardware
from models.training.options import HardwareOptions

# Two logical CPU devices: TensorFlow takes them only before it runs anything.
hardware.prepare(HardwareOptions(strategy="mirrored", replicas=2))

# A shell has what it starts in the background ignore Ctrl-C, and so would the processes that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def float32_policy():
    """Precision is global to Keras: no test hands its own on to the next."""
    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")
