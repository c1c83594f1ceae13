"""TensorFlow Lite: float32, float16 weights, or int8 calibrated on images; run by LiteRT's own interpreter."""

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from base import files
from base.errors import input_error
from models.export.comparison import Precision
from models.export.metadata import Metadata


def write_tflite(
    model: keras.Model, metadata: Metadata, path: Path, precision: Precision, images: np.ndarray | None = None
) -> None:
    """Writes a model of pixels float32 `[B, H, W, C]`, 0-255, with labels and metadata as an archive at its end.

    Args:
        model: Functional, in float32.
        metadata: Is appended.
        path: The `.tflite` file.
        precision: float16: of the weights; int8: of weights and activations, inputs and outputs stay float32.
        images: For int8 uint8 `[N, H, W, C]`: what the ranges of activations are measured on.

    Raises:
        InputError: The model can't be converted.
    """
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        converter.representative_dataset = lambda: ([image[None].astype(np.float32)] for image in images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            content = converter.convert()
        except Exception as error:  # of several kinds, and of none that is documented
            reason = next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__)
            raise input_error("Expected a model that TensorFlow Lite can express", error=reason[:300]) from error
    with files.whole_file(path) as temporary:
        temporary.write_bytes(content)
        metadata.append_to(temporary)


def run_tflite(path: Path, images: np.ndarray) -> np.ndarray:
    """The scores, float32 `[N, K]`, that the interpreter gives for images uint8 `[N, H, W, C]`, one at a time."""
    interpreter = _interpreter(path)
    interpreter.allocate_tensors()
    given, wanted = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    scores = []
    for image in images:
        interpreter.set_tensor(given, image[None].astype(np.float32))
        interpreter.invoke()
        scores.append(interpreter.get_tensor(wanted)[0])
    return np.stack(scores)


def _interpreter(path: Path) -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise input_error(
            "Expected ai-edge-litert, which runs what is exported", do="Install it: pip install 'millrace[export]'."
        ) from None
    return Interpreter(model_path=str(path))
