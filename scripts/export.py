#!/usr/bin/env python
"""A trained model for use elsewhere: `scripts/export.py RUN --format keras|saved_model|tflite|onnx --out PATH`."""

import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from base import command, files, native_log
from base.errors import require
from base.options import option, parse
from pipelines.manifest import read_manifest
from scripts.judging.judged_run import open_run

_SUFFIXES = {"keras": ".keras", "tflite": ".tflite", "onnx": ".onnx", "saved_model": ""}
_CALIBRATION = 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What becomes of which model."""

    run: str = option(help="a finished run's folder")
    format: Literal["keras", "saved_model", "tflite", "onnx"] = option(
        help="keras, onnx and tflite take pixels 0-255 at the model's size, saved_model takes image files"
    )
    out: str = option(help="a new file, or of saved_model a new folder")
    precision: Literal["float32", "float16", "int8"] = option(
        "float32", "of tflite: float16 weights, or int8 calibrated on images of the training split"
    )
    data: str | None = option(None, "the dataset folder whose images the export is judged on; by default the run's own")
    split: str | None = option(None, "its split: by default test, else validation, else train")
    images: int = option(256, "how many of its images the export is judged on")
    calibration: int | None = option(None, f"of int8: how many training images, by default {_CALIBRATION}")

    def __post_init__(self) -> None:
        require(
            self.precision == "float32" or self.format == "tflite",
            "Expected --precision float32 with any --format but tflite",
            format=self.format,
            precision=self.precision,
        )
        for name in ("images", "calibration"):
            value = getattr(self, name)
            inside = value is None or 1 <= value <= 100_000
            require(inside, f"Expected --{name} from 1 to 100000", **{name: value})
        require(
            self.calibration is None or self.precision == "int8",
            "Expected --calibration only with --precision int8",
            calibration=self.calibration,
            precision=self.precision,
        )
        out, suffix = Path(self.out), _SUFFIXES[self.format]
        require(out.suffix == suffix or not suffix, f"Expected --out to name a {suffix} file", out=self.out)
        require(not os.path.lexists(out), "Expected --out to name a new file or folder", out=self.out)
        require(out.absolute().parent.is_dir(), "Expected --out in a folder that is there", out=self.out)
        files.require_writable(out.absolute().parent, "out")

    @property
    def calibrated_on(self) -> int:
        """Training images, of int8."""
        return _CALIBRATION if self.calibration is None else self.calibration


GROUPS = {"export": ExportOptions}
DESCRIPTION = (
    "Writes a run's model in another format, with its labels; loads what was written again, in the runtime it is for, "
    "and compares its scores with the model's on images of the run's data set. An export that differs is not kept."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return command.run(_main, argv)


def _main(argv: Sequence[str] | None) -> None:
    asked: ExportOptions = parse("export.py", DESCRIPTION, GROUPS, argv, positional=("run",))["export"]
    run = open_run(Path(asked.run))
    folder = Path(asked.data or run.data)
    manifest = read_manifest(folder)
    run.require_classes(manifest.classes, str(folder))
    split = asked.split or next((name for name in ("test", "validation") if name in manifest.splits), "train")
    for name in (split, "train") if asked.precision == "int8" else (split,):
        examples = manifest.split(name, folder).examples
        require(examples > 0, f"Expected examples in split {name!r} of {folder}", examples=0)
    with native_log.captured():
        # TensorFlow takes seconds to import, and what could be refused without it has been.
        from scripts.judging.exporting import export

        exported = export(asked, run, (folder, manifest, split))
    out = Path(asked.out)
    size = sum(path.stat().st_size for path in out.rglob("*")) if out.is_dir() else out.stat().st_size
    print(f"{asked.format}, {asked.precision}, on {split}: {exported.comparison.describe()}")
    print(f"{asked.out}: {size / 1e6:.2f} MB")
    if exported.needs is not None:
        print(
            f"Keras needs the classes of {exported.needs} to load it: give them to keras.models.load_model as "
            f"custom_objects; predict.py takes {asked.run} in its place"
        )


if __name__ == "__main__":
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # a few images: leave the accelerators' memory alone
    sys.exit(main())
