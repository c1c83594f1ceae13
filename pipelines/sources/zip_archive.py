"""The members of a .zip file: listed by its directory, read from any thread."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from base.errors import input_error, require
from pipelines.sources.archive import Member, to_tree
from pipelines.sources.disk import read_span
from pipelines.sources.source import Unreadable
from pipelines.sources.tree import Tree

_HEADER = struct.Struct("<4s22xHH")  # a member's own: signature, lengths of its name and of what else comes before it
_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 1


def list_zip(path: Path, *, enter_single_folder: bool = True) -> Tree:
    """The files of a .zip archive.

    Raises:
        InputError: A broken archive, an encrypted one, or what `to_tree` refuses.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise input_error("Expected a whole .zip archive", archive=str(path), error=str(error)) from None
    return to_tree(
        path, _members(path, infos), lambda place: _read(path, *place), enter_single_folder=enter_single_folder
    )


def _members(path: Path, infos: list[zipfile.ZipInfo]) -> Iterator[Member]:
    for info in infos:
        expected, do = "Expected a .zip archive without a password", "Unpack it, and give the folder."
        require(not info.flag_bits & _ENCRYPTED, expected, archive=str(path), member=info.filename, do=do)
        if info.is_dir():
            yield Member(info.filename, 0, None)
        elif stat.S_ISLNK(info.external_attr >> 16):
            yield Member(info.filename, 0, "a link in an archive")
        elif info.compress_type not in (_STORED, _DEFLATED):
            kind = zipfile.compressor_names.get(info.compress_type, info.compress_type)
            yield Member(info.filename, 0, f"compressed with {kind}, where stored or deflated can be read")
        else:
            place = (info.header_offset, info.compress_size, info.file_size, info.compress_type, info.CRC)
            yield Member(info.filename, info.file_size, place)


def _read(path: Path, offset: int, packed: int, size: int, method: int, checksum: int) -> bytes | Unreadable:
    # zipfile's own reader counts its open members without a lock: not for several threads
    try:
        signature, name, extra = _HEADER.unpack(read_span(path, offset, _HEADER.size))
        data = read_span(path, offset + _HEADER.size + name + extra, packed)
        if method == _DEFLATED:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size + 1)  # not more than it says to hold
    except OSError as error:
        return Unreadable(error.strerror or str(error))
    except (struct.error, zlib.error) as error:
        return Unreadable(f"broken in the archive: {error}")
    if signature != b"PK\3\4" or len(data) != size or zlib.crc32(data) != checksum:
        return Unreadable("broken in the archive: its checksum is another")
    return data
