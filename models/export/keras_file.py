"""The `.keras` file itself, with labels and metadata in its archive."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from base import files
from models.export.metadata import Metadata
from models.training.keras_internals import in_mode


def write_keras(source: Path, metadata: Metadata, path: Path) -> None:
    """Copies the `.keras` file of a run, and adds `labels.txt` and `about.json` to its archive."""
    with files.whole_file(path, suffix=".keras") as temporary:
        shutil.copyfile(source, temporary)
        metadata.append_to(temporary)


def run_keras(path: Path, images: np.ndarray, own_classes: Mapping[str, type] | None = None) -> np.ndarray:
    """The scores, float32 `[N, K]`, that the file's model gives for images uint8 `[N, H, W, C]`."""
    return scores_of(keras.models.load_model(path, compile=False, custom_objects=own_classes), images)


def scores_of(model: keras.Model, images: np.ndarray, batch_size: int = 32) -> np.ndarray:
    """The scores, float32 `[N, K]`, that a model gives for images uint8 `[N, H, W, C]`."""
    passed = tf.function(lambda batch: model(batch, **in_mode(model, training=False)), autograph=False)
    batches = (images[start : start + batch_size] for start in range(0, len(images), batch_size))
    return np.concatenate([passed(tf.constant(batch, tf.float32)).numpy() for batch in batches])
