"""The IDX format of MNIST and its kin: a magic number, big-endian dimensions, values.

http://yann.lecun.com/exdb/mnist/
"""

import gzip
import math
import mmap
import zlib
from pathlib import Path

import numpy as np

from base.errors import input_error, require

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"


def read_idx(path: Path) -> np.ndarray:
    """The array in an IDX file, gzipped (by its content, not its name) or not.

    Raises:
        InputError: Unreadable, no IDX file, or one that holds more or less than its dimensions say.
    """
    try:
        with path.open("rb") as file:
            if file.read(2) == _GZIP:
                content = gzip.decompress(path.read_bytes())
            else:  # stays on disk: what is read of it is read when it is wanted
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, EOFError, ValueError, zlib.error) as error:  # ValueError: an empty file
        raise input_error("Expected a readable IDX file", file=str(path), error=str(error)) from None
    return _parse(content, path)


def _parse(content: bytes | mmap.mmap, path: Path) -> np.ndarray:
    do = "Download the file again."
    header = 4 + 4 * content[3] if len(content) >= 4 else 4
    known = len(content) >= header and content[:2] == b"\0\0" and content[2] in _DTYPES
    require(
        known, "Expected an IDX file (bytes 0, 0, type, dimensions)", file=str(path), start=content[:4].hex(), do=do
    )
    dtype = np.dtype(_DTYPES[content[2]])
    shape = tuple(int.from_bytes(content[at : at + 4], "big") for at in range(4, header, 4))
    expected = header + math.prod(shape) * dtype.itemsize
    require(
        len(content) == expected,
        f"Expected {expected} bytes, as the IDX header's shape {shape} says",
        file=str(path),
        bytes=len(content),
        do=do,
    )
    return np.frombuffer(content, dtype, offset=header).reshape(shape).astype(dtype.newbyteorder("="), copy=False)
