"""Files that are whole or not there: written under a temporary name, synced, renamed. And a lock on a name."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from base.errors import require


@contextlib.contextmanager
def whole_file(path: Path, suffix: str = "") -> Iterator[Path]:
    """Yields a temporary path beside `path`, and renames it to `path` when the block ends without an error.

    Args:
        path: Where the file is to stand; replaced when it exists.
        suffix: How the temporary name must end, for writers that look at it (".weights.h5").
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp{suffix}")
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path`, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Writes `value` as indented JSON to `path`, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def require_writable(folder: Path, option: str) -> None:
    """Refuses a folder that can't be written in, or made with those above it: before work that is to stand there.

    Args:
        folder: There or not; it is left as it is.
        option: The name of the option that it comes from, without hyphens in front.

    Raises:
        InputError: The nearest of its folders that is there is none, or gives no permission.
    """
    absolute = folder.absolute()
    there = next(path for path in (absolute, *absolute.parents) if os.path.lexists(path))
    expected, do = f"Expected --{option} in a folder that can be written", f"Choose another --{option}."
    require(there.is_dir(), expected, **{option: str(folder)}, no_folder=str(there), do=do)
    require(os.access(there, os.W_OK | os.X_OK), expected, **{option: str(folder)}, not_writable=str(there), do=do)


def sync(path: Path) -> None:
    """Returns when the content of a file, or the names in a folder, have reached the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, wait: float = 0) -> Iterator[None]:
    """Holds the lock that the file at `path` stands for; the file is there only as long.

    Processes that are forked meanwhile hold it too. The kernel frees the lock when the last of them has died, however;
    the file that stays then is taken over by the next one.

    Args:
        path: Of the file.
        wait: Seconds to wait for others to free it.

    Raises:
        BlockingIOError: Another process holds it.
        OSError: The file can't be made.
    """
    descriptor = _lock(path, time.monotonic() + wait)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # before the lock is freed: who waits for it sees that its file is gone
        os.close(descriptor)


def _lock(path: Path, deadline: float) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                    return descriptor
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                raise
            time.sleep(0.02)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder may have removed it since it was opened: the name may be another file's
