"""A SavedModel that takes image files: decoded, fitted and classified inside, as TensorFlow Serving calls it."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from models.export.metadata import EXTRA, Metadata

SIGNATURE, PIXELS = "serving_default", "pixels"
Decode = Callable[[tf.Tensor], tf.Tensor]


class Serving(tf.Module):
    """A model behind signatures.

    Args:
        model: From pixels float32 `[B, H, W, C]`, 0-255, to scores `[B, K]`, or `[B, 1]` of one sigmoid unit.
        decode: From a file, string scalar, to pixels uint8 `[H, W, C]`.
        classes: Their names.
    """

    def __init__(self, model: keras.Model, decode: Decode, classes: Sequence[str]) -> None:
        super().__init__()
        self._model, self._decode = model, decode
        self._classes = tf.constant(list(classes))

    def of_files(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """From files, string `[B]` (a name that ends so is sent to TensorFlow Serving in base 64), to `_named`."""
        shape = self._model.input_shape[1:]
        return self.of_pixels(tf.map_fn(self._decode, image_bytes, fn_output_signature=tf.TensorSpec(shape, tf.uint8)))

    def of_pixels(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """From pixels, uint8 `[B, H, W, C]`, to `_named`."""
        return self._named(self._model(tf.cast(image, tf.float32), training=False))

    def _named(self, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """`label`, string `[B]`, the likeliest; `labels`, string `[B, K]`, and in their order `scores`, float32."""
        scores = tf.concat([1 - outputs, outputs], axis=1) if outputs.shape[1] == 1 else outputs
        return {
            "label": tf.gather(self._classes, tf.argmax(scores, axis=1)),
            "labels": tf.repeat(self._classes[None], tf.shape(scores)[0], axis=0),
            "scores": scores,
        }


def write_saved_model(model: keras.Model, decode: Decode, metadata: Metadata, path: Path) -> None:
    """Writes a SavedModel with the signatures `serving_default` (files) and `pixels`, whole or not at all.

    Args:
        model: See `Serving`.
        decode: See `Serving`.
        metadata: Goes into the folder `EXTRA`.
        path: A folder that is not there.
    """
    serving = Serving(model, decode, metadata.classes)
    shape = model.input_shape
    signatures = {
        SIGNATURE: _signature(serving.of_files, tf.TensorSpec([None], tf.string, name="image_bytes")),
        PIXELS: _signature(serving.of_pixels, tf.TensorSpec(shape, tf.uint8, name="image")),
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        tf.saved_model.save(serving, temporary, signatures=signatures)
        metadata.write_to(temporary / EXTRA)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def run_saved_model(path: Path, images: np.ndarray, files: Sequence[bytes], batch_size: int = 32) -> np.ndarray:
    """Loads a SavedModel and gives the scores, float32 `[N + M, K]`, of pixels and then of files, as a server would.

    Args:
        path: Of `write_saved_model`.
        images: uint8 `[N, H, W, C]`.
        files: M images' contents.
        batch_size: Of a call.
    """
    loaded = tf.saved_model.load(path)  # must stay referenced while its signatures are called
    scores = [
        loaded.signatures[name](**{argument: tf.constant(content[start : start + batch_size])})["scores"].numpy()
        for name, argument, content in ((PIXELS, "image", images), (SIGNATURE, "image_bytes", files))
        for start in range(0, len(content), batch_size)
    ]
    return np.concatenate(scores)


def _signature(
    function: Callable[..., dict[str, tf.Tensor]], spec: tf.TensorSpec
) -> tf.types.experimental.GenericFunction:
    return tf.function(function, input_signature=[spec], autograph=False)
