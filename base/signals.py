"""Holding SIGINT and SIGTERM back while an exception at any instruction would do harm."""

import contextlib
import signal
import threading
from collections.abc import Iterator, Sequence


@contextlib.contextmanager
def held_back() -> Iterator[Sequence[int]]:
    """Lets SIGINT and SIGTERM act after the block; yields the numbers of those that have come meanwhile."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # signals act elsewhere
        yield received
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # An ignored signal stays so: a process started in the block is to ignore it too, and would not inherit that past a
    # handler.
    handlers = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in handlers:
        signal.signal(number, lambda number, _: received.append(number))
    try:
        yield received
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in received:
            signal.raise_signal(number)
