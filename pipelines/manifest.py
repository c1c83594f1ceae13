"""What a dataset folder holds, typed: `manifest.json`, without TensorFlow."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from base.errors import input_error
from pipelines.images.form import Encoding

FORMAT = "millrace-dataset"
VERSION = 2
FILE_NAME = "manifest.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """One TFRecord file of a split."""

    file: str  # name within the folder
    examples: int
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split:
    """A named part of the dataset; examples are numbered through its shards, in their order."""

    examples: int
    examples_per_class: tuple[int, ...]
    shards: tuple[Shard, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """A dataset folder."""

    classes: tuple[str, ...]
    channels: int  # that images are decoded to: 1 grey, 3 colour
    image_shape: tuple[int, int] | None  # (height, width) when all images agree, each one upright
    encoding: Encoding  # raw: records hold pixels, uint8 [*image_shape, channels]; keep: also their orientation
    oriented: int  # how many images came with an EXIF orientation other than upright
    found: int  # in the source: examples, skipped and left_out add up to it
    skipped: int  # could not be used
    left_out: int  # on purpose, as by balancing
    splits: dict[str, Split]
    made_by: dict[str, Any]  # the options of the command that made it
    files: tuple[str, ...]  # every file of the folder, this manifest included
    warnings: tuple[str, ...] = ()  # on its splits: sentences that whoever judges a model by them must know

    @property
    def fingerprint(self) -> str:
        """Names the data: equal for equal classes, splits and records, whoever wrote them."""
        content = [list(self.classes), self.channels, self.encoding, self.image_shape]
        content += [[name, [shard.sha256 for shard in self.splits[name].shards]] for name in sorted(self.splits)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    @property
    def examples(self) -> int:
        """Of all splits."""
        return sum(split.examples for split in self.splits.values())

    @property
    def stored_as(self) -> dict[str, Any]:
        """What `form.form_of` takes: how an image file becomes what a record holds."""
        made = {name: self.made_by.get(name) for name in ("resize", "quality")}
        return {"encoding": self.encoding, **made, "channels": self.channels}

    def split(self, name: str, folder: Path) -> Split:
        """The split `name`; an `InputError` names those there are."""
        if name not in self.splits:
            raise input_error(f"Expected one of the splits {sorted(self.splits)} of {folder}", split=name)
        return self.splits[name]

    def to_json(self) -> dict[str, Any]:
        """What `manifest.json` holds."""
        return {"format": FORMAT, "version": VERSION, "fingerprint": self.fingerprint, **dataclasses.asdict(self)}


def read_manifest(folder: Path) -> Manifest:
    """Reads `folder/manifest.json`.

    Raises:
        InputError: No dataset folder, or one of another format or version.
    """
    path = Path(folder) / FILE_NAME
    make_one = "Make one with scripts/build_tfrecords.py SOURCE --out DIR."
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise input_error("Expected a dataset folder with a manifest.json", folder=str(folder), do=make_one) from None
    except (OSError, ValueError) as error:
        raise input_error(f"Expected a readable manifest at {path}", error=str(error), do=make_one) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise input_error(f"Expected a Millrace manifest at {path}", do=make_one)
    if content.get("version") != VERSION:
        raise input_error(
            f"Expected version {VERSION} of the manifest at {path}",
            version=content.get("version"),
            do="Convert the source again with this version of Millrace.",
        )
    try:
        return _from_json(content)
    except (KeyError, TypeError, ValueError) as error:
        raise input_error(f"Expected a complete manifest at {path}", error=repr(error), do=make_one) from None


def _from_json(content: dict[str, Any]) -> Manifest:
    shape = content["image_shape"]
    splits = {
        name: Split(
            examples=split["examples"],
            examples_per_class=tuple(split["examples_per_class"]),
            shards=tuple(Shard(**shard) for shard in split["shards"]),
        )
        for name, split in content["splits"].items()
    }
    return Manifest(
        classes=tuple(content["classes"]),
        channels=content["channels"],
        image_shape=None if shape is None else tuple(shape),
        encoding=content["encoding"],
        oriented=content["oriented"],
        found=content["found"],
        skipped=content["skipped"],
        left_out=content["left_out"],
        splits=splits,
        made_by=content["made_by"],
        files=tuple(content["files"]),
        warnings=tuple(content.get("warnings", ())),  # data sets of before have none
    )
