"""The error formula: what was expected, what was received, what to do."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something the user can mend: an option, a file, a folder. Commands print it in one line and exit with 2."""


class StartAgain(Exception):
    """Nothing that the user did: the same command again goes on. Commands print it in one line and exit with 75."""


def input_error(expected: str, /, *, do: str = "", **received: object) -> InputError:
    """An `InputError` in the one form that all errors have.

    Args:
        expected: What was expected, and where (file, option, record), without the closing full stop.
        do: What the reader should do about it, as a sentence.
        **received: What came instead, by name.

    Example:
        >>> str(input_error("Expected --epochs of at least 1", epochs=0, do="Give a positive number."))
        'Expected --epochs of at least 1. Received: epochs=0. Give a positive number.'
    """
    parts = [expected.rstrip(".") + "."]
    if received:
        parts.append("Received: " + ", ".join(f"{name}={value!r}" for name, value in received.items()) + ".")
    if do:
        parts.append(do)
    return InputError(" ".join(parts))


def require(holds: bool, expected: str, /, *, do: str = "", **received: object) -> None:
    """Raises `input_error(...)` unless `holds`."""
    if not holds:
        raise input_error(expected, do=do, **received)


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that names the known name most like `name`, or lists the known ones when none is like it."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(known)}."
