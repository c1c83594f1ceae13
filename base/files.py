"""Files that are whole or not there: written under a temporary name, synced, renamed."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


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
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path`, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Writes `value` as indented JSON to `path`, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yields a new empty folder beside `path`, which becomes `path` when the block ends without an error.

    An existing `path` stays as it is until the new folder is complete, and is then removed: the caller decides
    beforehand whether it may be replaced.
    """
    missing = [parent for parent in path.parents if not parent.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
        try:
            yield temporary
            temporary.chmod(0o777 & ~_umask())
            for file in temporary.rglob("*"):
                _sync(file)
            _sync(temporary)
            _replace_folder(path, temporary)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    finally:
        if not path.exists():
            for parent in missing:
                with contextlib.suppress(OSError):  # something else has come to stand in it
                    parent.rmdir()


def _replace_folder(path: Path, new: Path) -> None:
    """Renames `new` to `path`, and removes what stood there; when interrupted in between, puts that back."""
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
    try:
        if path.exists():
            os.replace(path, old)
        os.replace(new, path)
        _sync(path.parent)
    except BaseException:
        if not path.exists() and any(old.iterdir()):
            os.replace(old, path)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
