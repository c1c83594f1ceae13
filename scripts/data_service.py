#!/usr/bin/env python
"""Input on other machines: `scripts/data_service.py dispatcher`, and on each machine `... worker --dispatcher ADDRESS`.

Training then takes `--data-service ADDRESS`.
"""

import contextlib
import dataclasses
import os
import socket
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, Literal

from base import command, native_log
from base.errors import InputError, require
from base.options import option, parse
from models.training.cluster import require_free_port
from pipelines.service.options import require_address


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """What is started, and where."""

    role: Literal["dispatcher", "worker"] = option(
        help="dispatcher: hands out the work, one for all; worker: reads and decodes, as many as there are machines"
    )
    dispatcher: str | None = option(None, "of a worker: grpc://host:port of its dispatcher")
    host: str = option(
        "127.0.0.1",
        "the name or address under which others reach this server; loopback: from this machine alone. There is no "
        "authentication: any other address needs a network that only friends are on",
    )
    port: int | None = option(None, "by default 5050 for the dispatcher, any free one for a worker")
    wait: float = option(30.0, "seconds within which a worker's dispatcher must answer, at the start and afterwards")

    def __post_init__(self) -> None:
        if self.role == "worker":
            require(self.dispatcher is not None, "Expected --dispatcher grpc://host:port for a worker")
            require_address(self.dispatcher, "--dispatcher")
        else:
            require(self.dispatcher is None, "Expected --dispatcher for a worker alone", dispatcher=self.dispatcher)
        require(self.port is None or 0 < self.port < 65536, "Expected --port from 1 to 65535", port=self.port)
        require(
            bool(self.host) and not set(self.host) & set(" /:"), "Expected --host as a name or address", host=self.host
        )
        require(self.host != "0.0.0.0", "Expected --host as others are to name this machine", host=self.host)
        require(1 <= self.wait <= 3600, "Expected --wait from 1 to 3600 seconds", wait=self.wait)


GROUPS = {"server": ServerOptions}
DESCRIPTION = "Starts a server that makes training batches for train.py --data-service; it runs until it is stopped."

_DISPATCHER_PORT = 5050
_BETWEEN_LOOKS = 2.0  # seconds, of a worker at its dispatcher
_BETWEEN_SIGNALS = 0.2
_STOPPING = 5.0  # seconds
# A server that is let go of stops, and waits for who it talks with, holding up every thread: a signal ends the process
# at once instead.
_running: list[Any] = []


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return command.run(_main, argv)


def _main(argv: Sequence[str] | None) -> None:
    options: ServerOptions = parse("data_service.py", DESCRIPTION, GROUPS, argv, positional=("role",))["server"]
    if options.port is not None or options.role == "dispatcher":
        require_free_port(f"0.0.0.0:{options.port or _DISPATCHER_PORT}")
    with native_log.captured():
        # TensorFlow takes seconds to import, and what could be refused without it has been.
        from pipelines.service import servers as service_servers

        port = options.port or (_DISPATCHER_PORT if options.role == "dispatcher" else _free_port())
        place = service_servers.Place(host=options.host, port=port)
        start = _start_dispatcher if options.role == "dispatcher" else _start_worker
        server = start(options, place)
        _running.append(server)
        try:
            _serve(options)
        except InputError:
            _stop(server)
            raise


def _start_dispatcher(options: ServerOptions, place: Any) -> Any:
    from pipelines.service import servers as service_servers

    server = service_servers.start_dispatcher(place)
    print(f"dispatcher: grpc://{place.address}" + ("" if place.is_loopback else " (no authentication)"))
    print(f"  workers:  scripts/data_service.py worker --dispatcher grpc://{place.address}")
    print(f"  training: scripts/train.py --data-service grpc://{place.address} ...", flush=True)
    return server


def _start_worker(options: ServerOptions, place: Any) -> Any:
    from pipelines.service import servers as service_servers

    _ask_dispatcher(options)
    server = service_servers.start_worker(place, options.dispatcher)
    print(f"worker: {place.address}, of {options.dispatcher}; it reads data sets at their trainings' paths", flush=True)
    return server


def _serve(options: ServerOptions) -> None:
    """Until a signal comes; a worker also ends when its dispatcher has."""
    while True:
        time.sleep(_BETWEEN_LOOKS)
        if options.role == "worker":
            _ask_dispatcher(options)


def _ask_dispatcher(options: ServerOptions) -> None:
    """Whether it answers; in a thread of its own, since a signal would have to wait for the answer."""
    from pipelines.service.dispatcher import workers_of

    errors: list[Exception] = []

    def ask() -> None:
        try:
            workers_of(options.dispatcher, options.wait)
        except InputError as error:
            errors.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    while asking.is_alive():
        asking.join(_BETWEEN_SIGNALS)
    if errors:
        raise errors[0]


def _stop(server: Any) -> None:
    """Stops a server, if it can be done soon: a worker whose dispatcher is gone would try to reach it first."""
    stopping = threading.Thread(target=server.stop, daemon=True)
    stopping.start()
    stopping.join(_STOPPING)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    code = main()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(code)  # what is left of a server that could not be stopped would be waited for
