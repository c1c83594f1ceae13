"""Checkpoints: snapshots as files, whole or not there; the newest that can be read is where a run goes on."""

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from base import files
from base.errors import require
from models.training.snapshot import Snapshot

_NAME = re.compile(r"step-(\d+)\.npz")
_FACTS = "facts"


class CheckpointFolder:
    """The checkpoints of one run, the last few of them.

    Args:
        path: The folder; made when the first one is saved.
        keep: How many stay.
        fingerprint: Of the run that they are to be of; None: of any.
        warn: Told what went wrong and could be survived.
    """

    def __init__(
        self, path: Path, *, keep: int = 2, fingerprint: str | None = None, warn: Callable[[str], None] = print
    ) -> None:
        self.path = Path(path)
        self._fingerprint = fingerprint
        self._keep = keep
        self._warn = warn

    def save(self, snapshot: Snapshot) -> bool:
        """Writes a checkpoint, and removes those that are too old.

        Returns:
            False where it could not be written, as on a full disk: then the older ones stay, and training may go on.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        target = self.path / f"step-{snapshot.step:09d}.npz"
        facts = json.dumps({**snapshot.facts(), "fingerprint": self._fingerprint})
        try:
            with files.whole_file(target, suffix=".npz") as temporary:
                np.savez(temporary, **{_FACTS: np.frombuffer(facts.encode(), np.uint8)}, **snapshot.arrays)
        except OSError as error:
            self._warn(f"no checkpoint at step {snapshot.step}: {error.strerror or error}; the one before it stays")
            return False
        for old in self._files()[: -self._keep]:
            old.unlink()
        return True

    def load_newest(self) -> Snapshot | None:
        """The newest checkpoint that is whole; None where there is none.

        A broken one is warned of, and the one before it taken.
        """
        for path in reversed(self._files()):
            try:
                snapshot, fingerprint = read(path)
            except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
                self._warn(f"{path} is broken ({error}): going on from the checkpoint before it")
                continue
            require(
                self._fingerprint in (None, fingerprint),
                f"Expected a checkpoint of this run, its data and its options: {path}",
                fingerprint=fingerprint,
                do="Remove it, or begin the run anew with --overwrite.",
            )
            return snapshot
        return None

    def clear(self) -> None:
        """Removes all of them."""
        for path in self._files():
            path.unlink()

    def _files(self) -> list[Path]:
        """Oldest first."""
        return sorted(path for path in self.path.glob("step-*.npz") if _NAME.fullmatch(path.name))


def read(path: Path) -> tuple[Snapshot, str | None]:
    """Reads one checkpoint and the fingerprint of its run; its checksums are checked.

    Raises:
        OSError, ValueError, KeyError, zipfile.BadZipFile: It can't be read, or is broken.
    """
    with np.load(path, allow_pickle=False) as saved:
        arrays = {name: saved[name] for name in saved.files}
    facts = json.loads(arrays.pop(_FACTS).tobytes())
    fingerprint = facts.pop("fingerprint")
    return Snapshot(arrays=arrays, **facts), fingerprint
