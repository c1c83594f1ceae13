"""Which archive a file is, by its content."""

import tarfile
import zipfile
from pathlib import Path

from base.errors import input_error
from pipelines.sources.tar_archive import list_tar
from pipelines.sources.tree import Tree
from pipelines.sources.zip_archive import list_zip

_USTAR = slice(257, 262)  # of the first header, except in archives from before 1988


def is_archive(path: Path, start: bytes) -> bool:
    """Whether a file is meant to be an archive: by its first 512 bytes, or by its name."""
    names = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")
    return zipfile.is_zipfile(path) or start[_USTAR] == b"ustar" or path.name.lower().endswith(names)


def is_npz(path: Path) -> bool:
    """Whether a file is a zip archive of .npy arrays, or is meant to be."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return path.suffix.lower() == ".npz"
    return all(name.endswith(".npy") for name in names) and (bool(names) or path.suffix.lower() == ".npz")


def list_archive(path: Path, *, enter_single_folder: bool = True) -> Tree:
    """The files of a .zip or an uncompressed .tar archive, by its content.

    Raises:
        InputError: Neither of them, or what `list_zip` and `list_tar` refuse.
    """
    try:
        if zipfile.is_zipfile(path) or path.name.lower().endswith(".zip"):
            return list_zip(path, enter_single_folder=enter_single_folder)
        return list_tar(path, enter_single_folder=enter_single_folder)
    except (OSError, tarfile.TarError) as error:
        raise input_error("Expected a readable archive", archive=str(path), error=str(error)) from None
