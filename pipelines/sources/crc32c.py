"""CRC-32C (Castagnoli), the checksum of TFRecord files, by NumPy: some 400 MB/s, where a loop makes 9.

The checksum is linear over bytes: a byte's contribution depends on its value and on how many bytes follow. So a block's
contributions are looked up all at once, and blocks are joined by what as many zero bytes do to a checksum.

RFC 3720, appendix B.4.
"""

import functools

import numpy as np

_POLYNOMIAL = 0x82F63B78
_BLOCK = 1024
_AT_ONCE = 256  # blocks; the places looked up take 8 bytes for each byte
_OFFSETS = np.arange(_BLOCK) * 256
_MASK = 0xA282EAD8  # TFRecord stores a checksum rotated and shifted by this


def masked_crc32c(data: bytes) -> int:
    """The checksum of `data` as TFRecord stores it."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """The checksum of `data`.

    Example:
        >>> hex(crc32c(b"123456789"))
        '0xe3069283'
    """
    if len(data) < 256:
        return _bytewise(data)
    position, skip = _tables()
    head = np.frombuffer(data, np.uint8, 4) ^ 0xFF  # the register starts with ones: as if the first bytes were others
    padded = np.zeros(-(-len(data) // _BLOCK) * _BLOCK, np.uint8)  # zeros in front change nothing
    padded[-len(data) :] = np.frombuffer(data, np.uint8)
    padded[len(padded) - len(data) :][:4] = head
    blocks = padded.reshape(-1, _BLOCK)
    crc = 0
    for start in range(0, len(blocks), _AT_ONCE):
        # "wrap" instead of bounds that are checked: two and a half times as fast
        found = position.take(blocks[start : start + _AT_ONCE] + _OFFSETS, mode="wrap")
        for block in np.bitwise_xor.reduce(found, axis=1).tolist():
            skipped = skip[0][crc & 255] ^ skip[1][crc >> 8 & 255] ^ skip[2][crc >> 16 & 255] ^ skip[3][crc >> 24]
            crc = skipped ^ block
    return crc ^ 0xFFFFFFFF


def _bytewise(data: bytes) -> int:
    table, crc = _byte_table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


@functools.cache
def _byte_table() -> list[int]:
    crc = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        crc = np.where(crc & 1, crc >> 1 ^ np.uint32(_POLYNOMIAL), crc >> 1)
    return crc.tolist()


@functools.cache
def _tables() -> tuple[np.ndarray, list[list[int]]]:
    """What each byte of a block contributes, uint32 `[_BLOCK * 256]`; what a block of zeros does to each crc byte."""
    table = np.array(_byte_table(), np.uint32)
    position = np.empty((_BLOCK, 256), np.uint32)
    position[-1] = table
    for place in range(_BLOCK - 2, -1, -1):
        position[place] = table[position[place + 1] & 255] ^ position[place + 1] >> 8
    return position.ravel(), [position[place].tolist() for place in range(4)]
