"""What a model needs to be understood where its run is not: labels, the images that it takes. Free of TensorFlow."""

import contextlib
import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

# A .keras file has a metadata.json of its own.
LABELS, ABOUT = "labels.txt", "about.json"
NEEDS = "needs_classes_of"  # of a .keras file: the name of the file whose classes Keras needs to load it
EXTRA = "assets.extra"  # of a SavedModel: the folder that TensorFlow leaves to others


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metadata:
    """Of an exported model; `read_metadata` reads it back.

    Attributes:
        classes: Names, in the order of the scores; of one sigmoid unit those of 0 and 1.
        image_size: Height and width, in pixels.
        channels: 1 or 3.
        fit: How an image becomes square.
        about: What else is known: run, versions, comparison.
    """

    classes: tuple[str, ...]
    image_size: int
    channels: int
    fit: str
    about: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def labels(self) -> str:
        """A line a class."""
        return "".join(f"{name}\n" for name in self.classes)

    def to_json(self) -> str:
        """All of it."""
        images = {"pixels": "0-255", "image_size": self.image_size, "channels": self.channels, "fit": self.fit}
        return json.dumps({"classes": self.classes, **images, **self.about}, indent=2, ensure_ascii=False) + "\n"

    def append_to(self, path: Path) -> None:
        """Adds `labels.txt` and `about.json` to a file, as a zip archive at its end.

        So TensorFlow Lite packs the files that belong to a model; a `.keras` file is an archive itself.
        """
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(LABELS, self.labels)
            archive.writestr(ABOUT, self.to_json())

    def write_to(self, folder: Path) -> None:
        """Writes `labels.txt` and `about.json` into a folder."""
        folder.mkdir()
        (folder / LABELS).write_text(self.labels, encoding="utf-8")
        (folder / ABOUT).write_text(self.to_json(), encoding="utf-8")


def read_metadata(path: Path) -> dict[str, Any] | None:
    """What `Metadata.to_json` holds, of an exported `.keras` file or SavedModel; None of a model that has none."""
    with contextlib.suppress(OSError, ValueError, KeyError, zipfile.BadZipFile):
        if path.is_dir():
            known = json.loads((path / EXTRA / ABOUT).read_text(encoding="utf-8"))
        else:
            with zipfile.ZipFile(path) as archive:
                known = json.loads(archive.read(ABOUT))
        return known if isinstance(known, dict) and isinstance(known.get("classes"), list) else None
    return None
