"""Where a conversion works until its dataset is whole: a folder beside it, of a fixed name. Without TensorFlow.

.NAME.lock               held by the conversion that is at work
.NAME.partial/
    journal.jsonl        whose work this is, and the shards that are finished
    shards/              the shards, by numbers
    observations/        what was seen of each shard's images
    dataset/             becomes NAME in the end, when it is known how many shards there are
    replaced/            the dataset that stood there until then, for a moment
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from base.errors import InputError, input_error
from base.files import locked, sync

_LAST_BREATH = 2.0  # seconds: the workers of a conversion that was killed end a little later than it


class Unfinished(InputError):
    """What stops a conversion that can go on later: what it has finished stays."""


class Workplace:
    """The names of the work's files, and how it begins and ends."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = out.with_name(f".{out.name}.partial")
        self.journal = self.folder / "journal.jsonl"
        self.shards = self.folder / "shards"
        self.observations = self.folder / "observations"
        self.dataset = self.folder / "dataset"
        self._replaced = self.folder / "replaced"

    def shard(self, split: str, number: int) -> Path:
        """Where a shard stands until the dataset gets it."""
        return self.shards / f"{split}.{number:05d}"

    def observed(self, split: str, number: int) -> Path:
        """Where it stands what was seen of a shard's images, a line of JSON each."""
        return self.observations / f"{split}.{number:05d}"

    def begin(self) -> None:
        """Makes the folders, empty."""
        self.remove()
        for folder in (self.folder, self.shards, self.observations, self.dataset):
            folder.mkdir()
        sync(self.out.parent)

    def remove(self) -> None:
        """Removes all of it."""
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def publish(self) -> None:
        """Gives the dataset its name, in the place of what has it now; removes the rest."""
        for path in (*self.dataset.iterdir(), self.dataset):
            sync(path)
        try:
            if self.out.exists():
                os.replace(self.out, self._replaced)
            os.replace(self.dataset, self.out)
        finally:
            self.mend()
        sync(self.out.parent)
        self.remove()

    def mend(self) -> None:
        """Ends what `publish` may have been stopped at: a dataset that no new one has replaced comes back."""
        if self._replaced.exists() and not self.out.exists():
            os.replace(self._replaced, self.out)
        if self.folder.exists() and not self.dataset.exists():
            self.remove()


@contextlib.contextmanager
def claimed(out: Path) -> Iterator[Workplace]:
    """Keeps other conversions off `out` during the block; makes the folder above it, if only for that long.

    Raises:
        InputError: Another conversion is at work there.
    """
    missing = [parent for parent in out.parents if not parent.exists()]
    out.parent.mkdir(parents=True, exist_ok=True)
    place = Workplace(out)
    try:
        with locked(out.with_name(f".{out.name}.lock"), wait=_LAST_BREATH):
            place.mend()
            yield place
    except BlockingIOError:
        expected = "Expected --out where no other conversion is at work"
        raise input_error(expected, out=str(out), do="Wait for it to end, or give the name of a new folder.") from None
    finally:
        for parent in missing:
            with contextlib.suppress(OSError):  # something stands in it
                parent.rmdir()
