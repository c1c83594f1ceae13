"""The members of an uncompressed .tar file: listed by going from header to header, read from any thread."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

from base.errors import input_error, require
from pipelines.sources.archive import Member, compression, to_tree
from pipelines.sources.disk import read_span
from pipelines.sources.source import Unreadable
from pipelines.sources.tree import Tree


def list_tar(path: Path, *, enter_single_folder: bool = True) -> Tree:
    """The files of a .tar archive.

    Raises:
        InputError: A compressed or broken archive, or what `to_tree` refuses.
    """
    with path.open("rb") as file:
        kind = compression(file.read(8))
    expected = "Expected an uncompressed .tar archive: in a compressed one no image is reached without those before it"
    require(kind is None, expected, archive=str(path), compressed_with=kind, do="Decompress it, or pack it as .zip.")
    try:
        return to_tree(path, _members(path), lambda place: _read(path, *place), enter_single_folder=enter_single_folder)
    except (OSError, tarfile.TarError) as error:
        raise input_error("Expected a whole .tar archive", archive=str(path), error=str(error)) from None


def _members(path: Path) -> Iterator[Member]:
    with tarfile.open(path, "r:") as archive:
        while (info := archive.next()) is not None:
            archive.members = []  # it would keep all of them: a kilobyte for each image
            if info.isdir():
                yield Member(info.name, 0, None)
            elif info.issym() or info.islnk():
                yield Member(info.name, 0, "a link in an archive")
            elif not info.isreg() or info.issparse():
                yield Member(info.name, 0, "no plain file")
            else:
                yield Member(info.name, info.size, (info.offset_data, info.size))


def _read(path: Path, offset: int, size: int) -> bytes | Unreadable:
    try:
        data = read_span(path, offset, size)
    except OSError as error:
        return Unreadable(error.strerror or str(error))
    return data if len(data) == size else Unreadable("the archive ends within this file")
