"""tf.train.Example on the wire: finds features without copying or decoding the others. Without TensorFlow.

    Example    1: Features
    Features   1: map entry, repeated    (1: name, 2: Feature)
    Feature    1: BytesList  2: FloatList  3: Int64List    (each 1: value, repeated or packed)

https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Collection, Iterator

_VARINT, _FIXED64, _SPAN, _FIXED32 = 0, 1, 2, 5  # wire types
_BYTES, _INT64 = 1, 3


class NotAnExampleError(Exception):
    """Bytes that are no tf.train.Example."""


Value = list[tuple[int, int]] | list[int] | None  # (start, end) of byte strings in the record; integers; neither


def find_features(record: memoryview, names: Collection[bytes]) -> dict[bytes, Value]:
    """The features of an Example that are called so; one that it lacks is left out.

    Raises:
        NotAnExampleError: Other bytes.
    """
    found: dict[bytes, Value] = {}
    try:
        for _, _, start, end in _fields(record, 0, len(record), 1):
            for _, _, first, last in _fields(record, start, end, 1):
                name, value = b"", (0, 0)
                for number, _, a, b in _fields(record, first, last, None):
                    if number == 1:
                        name = bytes(record[a:b])
                        if name not in names:
                            break
                    elif number == 2:
                        value = (a, b)
                else:
                    found[name] = _value(record, *value)
    except (IndexError, OverflowError) as error:
        raise NotAnExampleError(str(error)) from None
    return found


def names_of(record: memoryview) -> list[str]:
    """The names of an Example's features, sorted."""
    names = []
    for _, _, start, end in _fields(record, 0, len(record), 1):
        for _, _, first, last in _fields(record, start, end, 1):
            names += [bytes(record[a:b]).decode("utf-8", "replace") for _, _, a, b in _fields(record, first, last, 1)]
    return sorted(names)


def _value(record: memoryview, start: int, end: int) -> Value:
    for kind, _, first, last in _fields(record, start, end, None):
        if kind == _BYTES:
            return [(a, b) for _, _, a, b in _fields(record, first, last, 1)]
        if kind == _INT64:
            parts = [_integers(record, wire, a, b) for _, wire, a, b in _fields(record, first, last, 1)]
            return [value for part in parts for value in part]
    return None


def _integers(record: memoryview, wire: int, start: int, end: int) -> Iterator[int]:
    while start < end:
        value, start = _varint(record, start)
        yield value - (1 << 64) if value >> 63 else value
        if wire == _VARINT:
            return


def _fields(record: memoryview, start: int, end: int, wanted: int | None) -> Iterator[tuple[int, int, int, int]]:
    """(number, wire type, start, end) of a message's fields, or of those with the number that is wanted."""
    while start < end:
        tag = record[start]  # a byte, nearly always
        start += 1
        if tag > 127:
            tag, start = _varint(record, start - 1)
        number, wire = tag >> 3, tag & 7
        if wire == _SPAN:
            size, start = _varint(record, start)
            after = start + size
        elif wire == _VARINT:
            after = _varint(record, start)[1]
        elif wire in (_FIXED64, _FIXED32):
            after = start + (8 if wire == _FIXED64 else 4)
        else:
            raise NotAnExampleError(f"wire type {wire}")
        if after > end:
            raise NotAnExampleError("a field reaches beyond its message")
        if wanted is None or number == wanted:
            yield number, wire, start, after
        start = after


def _varint(record: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = record[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise NotAnExampleError("a number of more than 64 bits")
