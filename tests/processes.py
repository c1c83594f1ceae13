"""What tests of real processes share: waiting, bounded, and who is still there."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path


def wait_until(holds: Callable[[], object], seconds: float = 180) -> None:
    """Returns when something holds; fails after a time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not so after {seconds:g} s"
        time.sleep(0.02)


def processes_naming(folder: Path) -> list[int]:
    """Numbers of the living processes whose command line names a folder; zombies have none."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if os.fsencode(folder) in path.read_bytes():
                found.append(int(path.parent.name))
    return found
