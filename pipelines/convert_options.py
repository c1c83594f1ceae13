"""The options of a conversion. Without TensorFlow."""

import dataclasses
import os
from pathlib import Path

from base.errors import require
from base.options import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """What becomes of the images, and where."""

    out: str = option(help="folder of the dataset: shards, manifest.json, TFDS metadata")
    overwrite: bool = option(False, help="replace a dataset in DIR, once the new one is complete")
    quiet: bool = option(False, help="no progress bar")

    def __post_init__(self) -> None:
        """Refuses what can be seen without looking at the source."""
        require(bool(self.out), "Expected --out to be a folder", out=self.out)

    @property
    def out_path(self) -> Path:
        """Where the dataset is to stand, links resolved."""
        return Path(os.path.realpath(self.out))
