"""The `.keras` file itself, with labels and metadata in its archive."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from base import files
from models.export.metadata import Metadata


def write_keras(source: Path, metadata: Metadata, path: Path) -> None:
    """Copies the `.keras` file of a run, and adds `labels.txt` and `about.json` to its archive."""
    with files.whole_file(path, suffix=".keras") as temporary:
        shutil.copyfile(source, temporary)
        metadata.append_to(temporary)


def run_keras(path: Path, images: np.ndarray, own_classes: Mapping[str, type] | None = None) -> np.ndarray:
    """The scores, float32 `[N, K]`, that the file's model gives for images uint8 `[N, H, W, C]`."""
    model = keras.models.load_model(path, compile=False, custom_objects=own_classes)
    return model.predict(images.astype(np.float32), 32, verbose=0)
