#!/usr/bin/env python
"""A trained model for use elsewhere: `scripts/export.py RUN --format keras|saved_model|tflite|onnx --out PATH`."""

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from base import command, native_log
from base.errors import require
from base.options import option, parse
from models.training.run_directory import RunDirectory
from pipelines.input_options import InputSpec
from pipelines.manifest import read_manifest

_SUFFIXES = {"keras": ".keras", "tflite": ".tflite", "onnx": ".onnx", "saved_model": ""}


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
    calibration: int = option(256, "of int8: how many training images")

    def __post_init__(self) -> None:
        require(
            self.precision == "float32" or self.format == "tflite",
            "Expected --precision float32 with any --format but tflite",
            format=self.format,
            precision=self.precision,
        )
        for name in ("images", "calibration"):
            value = getattr(self, name)
            require(1 <= value <= 100_000, f"Expected --{name} from 1 to 100000", **{name: value})
        out, suffix = Path(self.out), _SUFFIXES[self.format]
        require(out.suffix == suffix or not suffix, f"Expected --out to name a {suffix} file", out=self.out)
        require(not os.path.lexists(out), "Expected --out to name a new file or folder", out=self.out)
        require(out.absolute().parent.is_dir(), "Expected --out in a folder that is there", out=self.out)


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
    run = RunDirectory(Path(asked.run))
    require(run.config.is_file(), "Expected a run's folder, with its config.yaml", run=asked.run)
    require(run.model.is_file(), "Expected a finished run, with its model.keras", run=asked.run)
    chosen = run.chosen()
    folder = Path(asked.data or chosen["data"])
    manifest = read_manifest(folder)
    classes = tuple(json.loads(run.environment.read_text(encoding="utf-8"))["classes"])
    require(
        manifest.classes == classes,
        f"Expected a data set of the run's classes {list(classes)}",
        data=str(folder),
        classes=list(manifest.classes),
    )
    spec = InputSpec(image_size=chosen["image_size"], channels=chosen["channels"], fit=chosen["fit"])
    split = asked.split or next((name for name in ("test", "validation") if name in manifest.splits), "train")
    manifest.split(split, folder)
    with native_log.captured():
        # TensorFlow takes seconds to import, and what could be refused without it has been.
        from scripts.exporting import export

        comparison = export(asked, run, chosen["model"], (folder, manifest, split), spec)
    out = Path(asked.out)
    size = sum(path.stat().st_size for path in out.rglob("*")) if out.is_dir() else out.stat().st_size
    print(f"{asked.format}, {asked.precision}, on {split}: {comparison.describe()}")
    print(f"{asked.out}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # a few images: leave the accelerators' memory alone
    sys.exit(main())
