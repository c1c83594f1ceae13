"""The lines of a run's `metrics.jsonl`, read while they are written."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

METRICS = "metrics.jsonl"


class Read(NamedTuple):
    """What has been read of a file."""

    rows: list[dict[str, Any]]  # new ones
    anew: bool = True  # the file is another one than before: earlier rows are void
    inode: int = 0
    offset: int = 0  # of the line that is not complete yet


def new_rows(path: Path, before: Read | None = None) -> Read:
    """The lines that have come to a file since it was read before; all, the first time.

    Args:
        path: Of the file, which need not be there. A run that goes on replaces it by one of the epochs that it keeps.
        before: What this function gave the last time.

    Returns:
        The new rows. A line that has not been written to its end is left to the next time; one that is no JSON object,
        as a crash may leave it, is passed over.
    """
    try:
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            same = before is not None and before.inode == stat.st_ino and before.offset <= stat.st_size
            offset = before.offset if same else 0
            file.seek(offset)
            text = file.read()
    except FileNotFoundError:
        return Read([])
    whole = text[: text.rfind(b"\n") + 1]
    return Read([row for row in map(_row, whole.splitlines()) if row], not same, stat.st_ino, offset + len(whole))


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None
