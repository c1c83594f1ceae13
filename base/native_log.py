"""Keeps the chatter of native libraries off the terminal, and in a log.

TensorFlow's C++ code writes to file descriptor 2, past anything that Python could filter.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path


class NativeLog:
    """Where descriptor 2 goes while `captured` is active: nowhere lasting, until `keep_in` names a file."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the block of `captured`
        os.dup2(self._file.fileno(), 2)

    def keep_in(self, path: Path) -> None:
        """Writes what was captured so far, and all that follows, to the end of `path`."""
        sys.stderr.flush()
        self._file.seek(0)
        captured = self._file.read()
        self._file.close()
        self._file = path.open("ab", buffering=0)
        self._file.write(captured)
        os.dup2(self._file.fileno(), 2)

    def close(self) -> None:
        """Closes the file; the descriptor is the caller's to restore."""
        self._file.close()


@contextlib.contextmanager
def captured() -> Iterator[NativeLog]:
    """Sends what is written to standard error, by Python and by native code, to a log while the block runs."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")  # its notes on the processor's instructions help nobody
    sys.stderr.flush()
    terminal = os.dup(2)
    log = NativeLog()
    try:
        yield log
    finally:
        sys.stderr.flush()
        os.dup2(terminal, 2)
        os.close(terminal)
        log.close()
