"""An export, from the run to the comparison: it joins models and their formats with the images of a data set."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from base.errors import require
from models.export.comparison import Comparison, compare
from models.export.float32 import in_float32
from models.export.keras_file import run_keras, scores_of, write_keras
from models.export.metadata import NEEDS, Metadata
from models.export.onnx import run_onnx, write_onnx
from models.export.saved_model import run_saved_model, write_saved_model
from models.export.tflite import run_tflite, write_tflite
from models.own_model import needs_its_file
from pipelines.images.exif_in_graph import orientation_of
from pipelines.images.form import form_of
from pipelines.images.form_in_graph import decode_as_stored
from pipelines.manifest import Manifest
from pipelines.reading.split_files import SplitFiles
from scripts.judging.judged_run import JudgedRun
from scripts.judging.sample import sample_of


class Exported(NamedTuple):
    """What has been written."""

    comparison: Comparison
    needs: str | None  # the name of the file whose classes Keras needs to load it


def export(asked: Any, run: JudgedRun, data: tuple[Path, Manifest, str]) -> Exported:
    """Writes a run's model in another format, and compares; only what is equal gets its name.

    Args:
        asked: `ExportOptions`.
        run: Whose model.
        data: Folder, manifest and split of the images to compare on; of the run's classes.

    Raises:
        InputError: A model that can't be loaded, does not give what the run's head does, differs, or that the format
            can't express; files that can't be read; a runtime that is not installed.
    """
    (folder, manifest, split), spec = data, run.spec
    trained = run.load_model()
    needs = _file_of_its_classes(run, trained) if asked.format == "keras" else None
    model = in_float32(trained, spec.shape)
    images = sample_of(SplitFiles(folder=folder, manifest=manifest, name=split), spec, asked.images, "images")
    metadata = Metadata(
        classes=run.classes,
        image_size=spec.image_size,
        channels=spec.channels,
        fit=spec.fit,
        about={
            "stored_as": run.stored_as,
            "run": run.name,
            "precision": asked.precision,
            "compared_on": {"data_fingerprint": manifest.fingerprint, "split": split, "images": len(images)},
            **({} if needs is None else {NEEDS: needs}),
        },
    )
    calibration = None
    if asked.precision == "int8":
        training = SplitFiles(folder=folder, manifest=manifest, name="train")
        calibration = sample_of(training, spec, asked.calibrated_on, "calibration")
    write, read, seen = _ways(asked, run, model, images, calibration)
    out = Path(asked.out)
    unproven = out.with_name(f".{os.getpid()}.tmp.{out.name}")
    try:
        write(metadata, unproven)
        # Formats that compute in float32 are held to what the model gives in float32.
        source = trained if asked.format == "keras" else model
        comparison = compare(scores_of(source, seen), read(unproven))
        comparison.require_equal(asked.precision)
        require(not os.path.lexists(out), "Expected --out to name a file or folder that is still new", out=asked.out)
        os.replace(unproven, out)
    finally:
        shutil.rmtree(unproven, ignore_errors=True) if unproven.is_dir() else unproven.unlink(missing_ok=True)
    return Exported(comparison, needs)


def _file_of_its_classes(run: JudgedRun, model: keras.Model) -> str | None:
    """The name of the file of the user's own that Keras loads the model with; None: it needs none."""
    which = run.options["model"]
    return Path(which.model.rpartition(":")[0]).name if which.is_own and needs_its_file(model) else None


def _ways(
    asked: Any, run: JudgedRun, model: keras.Model, images: np.ndarray, calibration: np.ndarray | None
) -> tuple[Callable[[Metadata, Path], None], Callable[[Path], np.ndarray], np.ndarray]:
    """How a format is written, how it is run for the scores of images, and these, uint8 `[N, H, W, C]`."""
    if asked.format == "keras":
        return (
            lambda metadata, out: write_keras(run.directory.model, metadata, out),
            lambda out: run_keras(out, images, run.own_classes()),
            images,
        )
    if asked.format == "onnx":
        return lambda metadata, out: write_onnx(model, metadata, out), lambda out: run_onnx(out, images), images
    if asked.format == "tflite":
        return (
            lambda metadata, out: write_tflite(model, metadata, out, asked.precision, calibration),
            lambda out: run_tflite(out, images),
            images,
        )
    decoder, files = _decoder(run), _as_files(images)
    decoded = np.stack([decoder(tf.constant(file)).numpy() for file in files])
    return (
        lambda metadata, out: write_saved_model(model, decoder, metadata, out),
        lambda out: run_saved_model(out, images, files),
        np.concatenate([images, decoded]),
    )


def _decoder(run: JudgedRun) -> Callable[[tf.Tensor], tf.Tensor]:
    form = form_of(run.stored_as)
    return lambda file: decode_as_stored(file, run.spec, form, orientation_of(file))


def _as_files(images: np.ndarray) -> list[bytes]:
    """Images as files: PNG, and every other one JPEG and of another size than the model's."""
    return [
        tf.io.encode_jpeg(image[:-1, :-1]).numpy() if number % 2 else tf.io.encode_png(image).numpy()
        for number, image in enumerate(images)
    ]
