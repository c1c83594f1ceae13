"""The hours that a search may take, all its processes together."""

import json
import time
from pathlib import Path

from base import files


class Hours:
    """Counts while a process of the search is there; what it counted after its last `save` is lost when it is killed.

    Args:
        path: Of a small file.
        limit: Hours after which no trial is started; None: there is no limit.
    """

    def __init__(self, path: Path, limit: float | None = None) -> None:
        self._path, self._limit = Path(path), limit
        self._before = json.loads(self._path.read_text(encoding="utf-8"))["seconds"] if self._path.is_file() else 0.0
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """So far."""
        return self._before + time.monotonic() - self._began

    @property
    def are_over(self) -> bool:
        """Whether no trial may be started any more."""
        return self._limit is not None and self.seconds >= 3600 * self._limit

    def save(self) -> None:
        """Writes what was counted."""
        files.write_json(self._path, {"seconds": round(self.seconds, 3)})
