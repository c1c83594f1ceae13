"""What `predict.py` can be told. Free of TensorFlow."""

import dataclasses
import os
from pathlib import Path
from typing import Literal

from base import files
from base.errors import require
from base.options import option

FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_TOP = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """With which model, and where to."""

    model: str = option(
        help="a run's folder, a .keras file, a SavedModel's folder (signature serving_default), or the name of a "
        "backbone with ImageNet's own top, such as VGG16"
    )
    weights: str | None = option(
        None, "of a backbone: imagenet (the default; fetched once by Keras), or a file with its top"
    )
    width: float | None = option(None, "of a MobileNet: what multiplies its filters; by default 1")
    out: str | None = option(None, "a .csv or .jsonl file, whole or not at all; by default a table on the console")
    overwrite: bool = option(False, "replace --out when it exists")
    format: Literal["csv", "jsonl", "table"] | None = option(
        None, "what is written; by default what --out is called, table on the console"
    )
    top: int | None = option(None, f"classes named an image, the likeliest first; by default {_TOP}")
    all_scores: bool = option(False, "every class's score too, in columns score:CLASS")
    columns: str | None = option(
        None,
        "NAME=WHAT,... in place of all other columns, for instance for a submission: image, class, score, error, or "
        "score:CLASS; 'image_name,target' is short for image_name=image,target=score:CLASS with the second of two "
        "classes",
    )
    classes: str | None = option(None, "a file of the classes' names, a line each; by default those of the run")
    batch_size: int = option(32, "images of a call of the model")
    image_size: int | None = option(None, "height and width in pixels, where the model leaves them open")
    fit: Literal["stretch", "crop", "pad"] | None = option(
        None, "how an image becomes square, where no run says it: stretch it (the default), crop, or pad with black"
    )
    max_pixels: int = option(100_000_000, "images that claim more are not decoded, and count as errors")
    decode_threads: int | None = option(None, "images that are read and decoded side by side; by default one a core")
    quiet: bool = option(False, "no bar, no summary")

    def __post_init__(self) -> None:
        for name, least, most in (("top", 1, 2**31), ("batch_size", 1, 2**16), ("max_pixels", 1, 2**62)):
            _require_between(name, getattr(self, name), least, most)
        _require_between("decode_threads", self.decode_threads, 1, 1024)
        _require_between("image_size", self.image_size, 1, 8192)
        no_weights = self.weights in ("none", "auto")
        expected = "Expected --weights imagenet, or a file: without any it knows nothing"
        require(not no_weights, expected, weights=self.weights)
        self._require_used()
        known = self.format is not None or self.out is None or Path(self.out).suffix.lower() in FORMATS
        require(known, "Expected --out to be called .csv or .jsonl, or --format beside it", out=self.out)
        if self.out is not None:
            self._require_free(Path(self.out))

    @property
    def written_as(self) -> str:
        """The format that it comes to."""
        return self.format or ("table" if self.out is None else FORMATS[Path(self.out).suffix.lower()])

    @property
    def named(self) -> int:
        """Classes an image in the usual columns."""
        return _TOP if self.top is None else self.top

    @property
    def threads(self) -> int:
        """That read and decode."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return self.decode_threads or cores

    def _require_used(self) -> None:
        """Refuses what would say nothing."""
        if self.columns is not None:
            require(self.top is None, "Expected --columns or --top, not both", columns=self.columns, top=self.top)
            require(not self.all_scores, "Expected --columns or --all-scores, not both", columns=self.columns)

    def _require_free(self, out: Path) -> None:
        require(not out.is_dir(), "Expected --out to be a file", out=self.out)
        require(out.absolute().parent.is_dir(), "Expected --out in a folder that is there", out=self.out)
        files.require_writable(out.absolute().parent, "out")
        free = self.overwrite or not os.path.lexists(out)
        require(free, "Expected --out to name a new file", out=self.out, do="Replace it with --overwrite.")


def _require_between(name: str, value: int | None, least: int, most: int) -> None:
    holds = value is None or least <= value <= most
    require(holds, f"Expected --{name.replace('_', '-')} from {least} to {most}", **{name: value})
