"""A file of what a process holds in memory, which other processes of the machine map: made once, in memory once."""

import contextlib
import errno
import fcntl
import glob
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np


def held_bytes(folder: Path, name: str, count: int, fill: Callable[[np.ndarray], None]) -> np.ndarray:
    """Bytes that the first process to ask for them makes, and that all who ask have in common.

    Args:
        folder: Where the file is; on a disk the system's file cache is what they share. It is never removed here.
        name: Of the file: says all that the bytes follow from.
        count: How many.
        fill: Writes them into uint8 `[count]`. Other processes that ask wait for its end; where it fails, or its
            process is killed, one of them goes on with its own.

    Returns:
        uint8 `[count]`, aligned to a page. What is written to it is seen by nobody else.

    Raises:
        OSError: The folder can't be written, or the file would take more than a quarter of what is free there.
    """
    path = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f".{name}.lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # ends with this process, whatever way that ends
        if not (path.is_file() and path.stat().st_size == count):
            for left in folder.glob(f".{glob.escape(name)}.*.tmp"):  # by one that was killed: the lock is ours
                left.unlink()
            _make(path, count, fill)
    return np.asarray(np.memmap(path, np.uint8, "c", shape=(count,)))


def _make(path: Path, count: int, fill: Callable[[np.ndarray], None]) -> None:
    if count > shutil.disk_usage(path.parent).free // 4:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w+b") as file:
            os.posix_fallocate(file.fileno(), 0, count)  # a disk that is full says so here, and not by SIGBUS
            memory = np.memmap(file, np.uint8, "r+", shape=(count,))
            fill(memory)
            memory.flush()  # a machine that loses its power leaves no file that is whole by its size alone
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
