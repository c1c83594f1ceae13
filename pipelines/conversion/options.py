"""The options of a conversion. Without TensorFlow."""

import dataclasses
import os
from pathlib import Path
from typing import Any, Literal

from base.errors import require
from base.options import option
from pipelines.images.form import Encoding, Form, parse_resize

_QUALITY = 95


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """What becomes of the images, and where."""

    out: str = option(help="folder of the dataset: shards, manifest.json, health report, TFDS metadata")
    overwrite: bool = option(False, help="replace a dataset in DIR, once the new one is complete")
    encoding: Encoding = option(
        "keep", help="keep JPEG and PNG files as they are, or write JPEG, PNG, or raw pixels of one size"
    )
    resize: str | None = option(
        None, help="short=N or long=N pixels for that side of larger images, or exact=HEIGHTxWIDTH (stretched)"
    )
    quality: int | None = option(None, help=f"of --encoding jpeg, 1 to 100; by default {_QUALITY}")
    channels: Literal[1, 3] | None = option(
        None, help="1 grey or 3 colour, for all images; by default 3 where any has colours"
    )
    check: Literal["decode", "none"] = option(
        "decode", help="decode every image, to find broken files, duplicates and what else is wrong; or do not"
    )
    on_error: Literal["skip", "fail"] = option("skip", help="at a file that can't be used: skip and name it, or refuse")
    max_pixels: int = option(100_000_000, help="images that claim more are not decoded, and count as errors")

    def __post_init__(self) -> None:
        """Refuses what can be seen without looking at the source."""
        require(bool(self.out), "Expected --out to be a folder", out=self.out)
        require(self.max_pixels > 0, "Expected --max-pixels of at least 1", max_pixels=self.max_pixels)
        require(
            self.quality is None or (self.encoding == "jpeg" and 1 <= self.quality <= 100),
            "Expected --quality from 1 to 100, with --encoding jpeg",
            quality=self.quality,
            encoding=self.encoding,
        )
        resize = None if self.resize is None else parse_resize(self.resize)
        require(
            resize is None or self.encoding != "keep",
            "Expected --resize with --encoding jpeg, png or raw: kept files keep their size",
            resize=self.resize,
        )
        require(
            self.encoding != "raw" or (resize is not None and resize.kind == "exact"),
            "Expected --resize exact=HEIGHTxWIDTH with --encoding raw: its records are of one size",
            resize=self.resize,
        )

    @property
    def out_path(self) -> Path:
        """Where the dataset is to stand, links resolved."""
        return Path(os.path.realpath(self.out))

    def form(self) -> Form:
        """The form that the images get."""
        return Form(
            encoding=self.encoding,
            resize=None if self.resize is None else parse_resize(self.resize),
            quality=self.quality or _QUALITY,
            channels=self.channels,
        )

    def made_by(self) -> dict[str, Any]:
        """What the result depends on, as JSON holds it: equal for two commands that write the same alike."""
        return {
            "encoding": self.encoding,
            "resize": self.resize,
            "quality": (self.quality or _QUALITY) if self.encoding == "jpeg" else None,
            "channels": self.channels,
            "check": self.check,
            "on_error": self.on_error,
            "max_pixels": self.max_pixels,
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How the work is done; the result does not depend on it."""

    workers: int | None = option(None, help="threads; by default one for each core that this process may use")
    quiet: bool = option(False, help="no progress bar")

    def __post_init__(self) -> None:
        require(
            self.workers is None or 1 <= self.workers <= 256, "Expected --workers from 1 to 256", workers=self.workers
        )

    @property
    def threads(self) -> int:
        """How many images are worked on at once."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return self.workers or cores


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerifyOptions:
    """The other thing that the command does."""

    verify: str | None = option(
        None, help="only check this dataset folder, every record of it; no SOURCE and no other options but --workers"
    )

    @property
    def verify_path(self) -> Path:
        """The dataset folder."""
        return Path(self.verify or "")
