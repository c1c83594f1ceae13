"""Ends a training whose dispatcher is gone: TensorFlow's client would wait for ever."""

import contextlib
import os
import threading
from collections.abc import Iterator

from base import command
from base.errors import InputError
from pipelines.service.dispatcher import workers_of

_BETWEEN_LOOKS = 2.0  # seconds


@contextlib.contextmanager
def watched(address: str, patience: float) -> Iterator[None]:
    """While the block runs, ends this process with a line and exit code 2 when a dispatcher does not answer.

    At once, as if it had been killed: the loop waits within TensorFlow, where neither an exception nor a signal reaches
    it. The last checkpoint stays, and there are no batches to go on with.

    Args:
        address: grpc://host:port of the dispatcher.
        patience: Seconds within which it must answer.
    """
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_BETWEEN_LOOKS):
            try:
                workers_of(address, patience)
            except InputError as error:
                if not done.is_set():
                    print(f"error: {error} The last checkpoint stays.", flush=True)
                    os._exit(command.BAD_INPUT)

    threading.Thread(target=watch, name="dispatcher watch", daemon=True).start()
    try:
        yield
    finally:
        done.set()
