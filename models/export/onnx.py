"""ONNX, converted by tf2onnx and run by onnxruntime."""

import importlib
import logging
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
import tensorflow as tf

from base import files
from base.errors import input_error
from models.export.metadata import Metadata

OPSET = 17


def write_onnx(model: keras.Model, metadata: Metadata, path: Path) -> None:
    """Writes a model from `image`, pixels float32 `[B, H, W, C]`, 0-255, to `scores`; its properties are the metadata.

    Args:
        model: Functional, in float32.
        metadata: Becomes the properties `labels` and `metadata`.
        path: The `.onnx` file.

    Raises:
        InputError: tf2onnx is not installed, or can't convert the model.
    """
    tf2onnx, helper = _required("tf2onnx"), _required("onnx.helper")
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)

    def scores(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": model(image, training=False)}

    spec = tf.TensorSpec(model.input_shape, tf.float32, name="image")
    try:
        converted, _ = tf2onnx.convert.from_function(
            tf.function(scores, autograph=False), input_signature=[spec], opset=OPSET
        )
    except Exception as error:  # of several kinds, and of none that is documented
        reason = next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__)
        raise input_error("Expected a model that ONNX can express", error=reason[:300]) from error
    helper.set_model_props(converted, {"labels": metadata.labels, "metadata": metadata.to_json()})
    with files.whole_file(path) as temporary:
        temporary.write_bytes(converted.SerializeToString())


def run_onnx(path: Path, images: np.ndarray, batch_size: int = 32) -> np.ndarray:
    """The scores, float32 `[N, K]`, that onnxruntime gives for images uint8 `[N, H, W, C]`."""
    session = _required("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    batches = (images[start : start + batch_size] for start in range(0, len(images), batch_size))
    return np.concatenate([session.run(["scores"], {"image": batch.astype(np.float32)})[0] for batch in batches])


def _required(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise input_error(
            f"Expected {name.partition('.')[0]}, for --format onnx", do="Install it: pip install 'millrace[export]'."
        ) from None
