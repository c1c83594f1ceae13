"""The servers of tf.data service: a dispatcher hands out numbers of steps, workers make their batches.

TensorFlow's servers know no authentication: whoever reaches one can have it run any dataset, and with that read any
file. They listen on every address of their machine, whatever they are told; `Place` says who is to reach them.
"""

import dataclasses
import os
import socket

import tensorflow as tf

from base.errors import InputError, input_error

_LOOPBACK = ("localhost", "127.0.0.1")
_DISPATCHER_SECONDS = 30  # that a worker's own requests may take
_MISSED_SECONDS = 10  # after which a worker that says nothing is gone


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Attributes:
    host: The name or address under which others reach the server; loopback: from this machine alone.
    port: Free.
    """

    host: str
    port: int

    @property
    def address(self) -> str:
        """host:port."""
        return f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return self.host in _LOOPBACK


def start_dispatcher(place: Place) -> tf.data.experimental.service.DispatchServer:
    """A dispatcher at a place.

    Raises:
        InputError: It can't be had there.
    """
    service = tf.data.experimental.service
    config = service.DispatcherConfig(port=place.port, protocol="grpc", worker_timeout_ms=_MISSED_SECONDS * 1000)
    return _started(lambda: service.DispatchServer(config), place)


def start_worker(place: Place, dispatcher: str) -> tf.data.experimental.service.WorkerServer:
    """A worker at a place.

    Args:
        place: Where.
        dispatcher: grpc://host:port, which answers.

    Raises:
        InputError: It can't be had there, or the dispatcher won't have it.
    """
    service = tf.data.experimental.service
    config = service.WorkerConfig(
        dispatcher_address=dispatcher.removeprefix("grpc://"),
        worker_address=place.address,
        port=place.port,
        protocol="grpc",
        heartbeat_interval_ms=1000,
        dispatcher_timeout_ms=_DISPATCHER_SECONDS * 1000,
    )
    return _started(lambda: service.WorkerServer(config), place)


def _started(start, place: Place):
    try:
        server = start()
    except (RuntimeError, tf.errors.OpError) as error:
        raise input_error(f"Expected to serve at {place.address}", error=str(error).partition("\n")[0][:200]) from None
    if place.is_loopback:
        try:
            _keep_to_loopback(place.port)
        except InputError:
            server.stop()
            raise
    return server


def _keep_to_loopback(port: int) -> None:
    """Has the kernel refuse what does not come over the loopback device.

    TensorFlow binds to 0.0.0.0 and offers no other choice: its listening socket is bound to the device afterwards,
    within milliseconds, before there is anything to be read. Needs Linux 5.7, or root.
    """
    kept = 0
    try:
        for descriptor in map(int, os.listdir("/proc/self/fd")):
            try:
                listener = socket.socket(fileno=os.dup(descriptor))
            except OSError:  # a file, or closed meanwhile
                continue
            with listener:
                if listener.family not in (socket.AF_INET, socket.AF_INET6) or listener.getsockname()[1] != port:
                    continue
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
                kept += 1
    except (OSError, AttributeError) as error:  # no /proc, no such option, no right to it
        reason = str(error)
    else:
        reason = "no listening socket was found"
    if not kept:
        raise input_error(
            "Expected to keep the server to loopback: TensorFlow's own listens on every address",
            error=reason,
            do="Where the system does not allow it, name this machine's address with --host, behind a firewall.",
        )
