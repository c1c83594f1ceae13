"""Whether the dataset may stand where the user wants it, found out before any work is done. Without TensorFlow."""

import os
import tempfile
from pathlib import Path
from typing import Any

from base.errors import InputError, input_error, require
from pipelines.manifest import FILE_NAME, Manifest, read_manifest

_NEW = "Give the name of a new folder."


def check_destination(out: Path, source: Path | None) -> None:
    """Refuses a place where no dataset can stand, whatever is there. Leaves it as it is.

    Args:
        out: Links resolved.
        source: Links resolved; None where it is no path.

    Raises:
        InputError: The folder is the source, lies in it or around it, or can't be written.
    """
    if source is not None and (out == source or out in source.parents or source in out.parents):
        expected = "Expected --out to be apart from SOURCE: not the same folder, nor one above or inside it"
        raise input_error(expected, out=str(out), source=str(source), do=_NEW)
    try:
        if not out.is_symlink() and out.exists():  # links are resolved: one that is left leads to itself
            require(out.is_dir(), "Expected --out to be a folder", out=str(out), do=_NEW)
        _refuse_unwritable(out)
    except OSError as error:
        raise _unwritable(out, error) from None


def finished_dataset(out: Path, made_by: dict[str, Any], *, overwrite: bool) -> Manifest | None:
    """Looks at what stands in `out`, which `check_destination` has agreed to.

    Returns:
        The manifest of the dataset that this very command has made there already; None where it is to be made.

    Raises:
        InputError: The folder holds something that must not be replaced.
    """
    try:
        if out.exists() and any(out.iterdir()):
            return _look_at_dataset(out, made_by, overwrite)
    except OSError as error:
        raise _unwritable(out, error) from None
    return None


def _look_at_dataset(out: Path, made_by: dict[str, Any], overwrite: bool) -> Manifest | None:
    """The manifest of what stands in `out` when it is to stay; None when it may be replaced."""
    if not (out / FILE_NAME).exists():
        expected = "Expected --out to be a new or empty folder, or a dataset that this command made"
        raise input_error(expected, out=str(out), holds=_some(os.listdir(out)), do=_NEW)
    try:
        manifest = read_manifest(out)
    except InputError as error:
        raise InputError(f"{error} Or give --out the name of a new folder.") from None
    if not overwrite:
        _refuse_different(manifest, made_by, out)
        _refuse_incomplete(manifest, out)
        return manifest
    foreign = [path.name for path in out.iterdir() if path.name not in manifest.files or path.is_dir()]
    require(
        not foreign,
        "Expected --overwrite of a folder that holds nothing but the dataset",
        out=str(out),
        also_there=_some(foreign),
        do="Move these away, or give the name of a new folder.",
    )
    return None


def _refuse_unwritable(out: Path) -> None:
    """Tries what the conversion will do at its end: put a folder beside `out` in its place."""
    # no mount point can be renamed
    require(not out.is_mount(), "Expected --out not to be a mount point", out=str(out), do="Give a folder inside it.")
    parent = next(path for path in out.parents if os.path.lexists(path))
    require(not out.is_symlink() and parent.is_dir(), "Expected --out in a folder", out=str(out), do=_NEW)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", suffix=".tmp", dir=parent):
        pass


def _refuse_different(manifest: Manifest, wanted: dict[str, Any], out: Path) -> None:
    there = manifest.made_by
    keys = sorted(key for key in {*there, *wanted} if there.get(key) != wanted.get(key))
    require(
        not keys,
        f"Expected --out to be new, empty, or made by the same command ({', '.join(keys)} differ)",
        out=str(out),
        there={key: there.get(key) for key in keys},
        wanted={key: wanted.get(key) for key in keys},
        do="Give the name of a new folder, or replace the dataset with --overwrite.",
    )


def _unwritable(out: Path, error: OSError) -> InputError:
    return input_error("Expected --out in a folder that can be written", out=str(out), error=error.strerror, do=_NEW)


def _refuse_incomplete(manifest: Manifest, out: Path) -> None:
    sizes = {shard.file: shard.bytes for split in manifest.splits.values() for shard in split.shards}
    damaged = [name for name in manifest.files if not (out / name).is_file()]
    damaged += [name for name, size in sizes.items() if name not in damaged and (out / name).stat().st_size != size]
    expected, do = "Expected the dataset in --out to be whole", "Make it again with --overwrite."
    require(not damaged, expected, out=str(out), missing_or_cut=_some(damaged), do=do)


def _some(names: list[str]) -> list[str]:
    return sorted(names)[:5] + ([f"and {len(names) - 5} more"] if len(names) > 5 else [])
