"""The orientation that a camera noted in its picture. Pure: bytes in, a number out.

Exif 2.32 (CIPA DC-008), 4.5.4 and 4.6.4: a TIFF header, then directories of entries of 12 bytes.
"""

import struct

UPRIGHT = 1
_ORIENTATION, _SHORT = 0x0112, 3
_BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}


def orientation(tiff: bytes) -> int:
    """How the stored picture must be turned to stand upright.

    Args:
        tiff: What follows `Exif\\0\\0` in a JPEG's APP1 segment, however broken.

    Returns:
        1 to 8, as the tag counts them; 1 where there is no such tag, or one that makes no sense.

    Example:
        >>> orientation(b"MM\\0*\\0\\0\\0\\x08\\0\\x01\\x01\\x12\\0\\x03\\0\\0\\0\\x01\\0\\x06\\0\\0")
        6
    """
    order = _BYTE_ORDERS.get(tiff[:4])
    if order is None:
        return UPRIGHT
    try:
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, directory)
        for entry in range(entries):
            tag, kind, count, value = struct.unpack_from(order + "HHIH", tiff, directory + 2 + 12 * entry)
            if tag == _ORIENTATION:
                return value if kind == _SHORT and count == 1 and 1 <= value <= 8 else UPRIGHT
    except struct.error:  # an offset beyond the end
        pass
    return UPRIGHT
