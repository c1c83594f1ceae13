"""TFRecord files by the offsets of their records: listed once, read in any order, checked against their checksums.

A record is its length (8 bytes), the length's checksum (4), the data, the data's checksum (4).
"""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

from base.errors import input_error, require
from pipelines.sources.crc32c import masked_crc32c
from pipelines.sources.disk import read_span
from pipelines.sources.source import Unreadable

_LENGTH = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")


def list_records(path: Path) -> Iterator[tuple[int, memoryview | None]]:
    """The data's offset of each record, and the data as the file maps them: only what is looked at is read.

    The last may have None instead of data: there the file ends in the midst of a record, or the length is broken, and
    nothing behind it can be found.

    Raises:
        InputError: Unreadable, compressed as a whole, or no TFRecord file.
    """
    try:
        with path.open("rb") as file:
            if not path.stat().st_size:
                return
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise input_error("Expected a readable TFRecord file", file=str(path), error=error.strerror) from None
    mapped.madvise(mmap.MADV_RANDOM)  # the images lie between what is looked at
    expected = "Expected an uncompressed TFRecord file: in a compressed one no record is reached without those before"
    do = "Decompress it."
    require(mapped[:2] != b"\x1f\x8b", expected, file=str(path), compressed_with="gzip", do=do)
    view, offset = memoryview(mapped), 0
    while offset < len(view):
        length = _length(view[offset : offset + _LENGTH.size])
        start = offset + _LENGTH.size
        require(length is not None or offset > 0, "Expected a TFRecord file", file=str(path), start=bytes(view[:12]))
        if length is None or start + length + _CHECKSUM.size > len(view):
            yield start, None
            return
        yield start, view[start : start + length]
        offset = start + length + _CHECKSUM.size


def read_record(path: Path, offset: int, length: int) -> bytes | Unreadable:
    """The data of the record at `offset`, if their checksum is right."""
    try:
        data = read_span(path, offset, length + _CHECKSUM.size)
    except OSError as error:
        return Unreadable(error.strerror or str(error))
    record = data[:length]
    if len(data) < length + _CHECKSUM.size or _CHECKSUM.unpack(data[length:])[0] != masked_crc32c(record):
        return Unreadable("the record's checksum is another: its bytes have changed since they were written")
    return record


def _length(head: memoryview) -> int | None:
    if len(head) < _LENGTH.size:
        return None
    length, checksum = _LENGTH.unpack(head)
    return length if checksum == masked_crc32c(bytes(head[:8])) else None
