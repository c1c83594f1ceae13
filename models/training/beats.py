"""What workers tell each other about themselves: one datagram a beat. Free of TensorFlow."""

import contextlib
import dataclasses
import json
import socket
import zlib
from typing import Any

from base.errors import InputError

_LARGEST = 60_000  # bytes; UDP carries 65,507
_KINDS = {"worker": int, "life": str, "to": str, "state": str, "why": str, "saved": int, "agreement": dict}

MEETING, TRAINING, STOPPING, LEFT, FINISHED = "meeting", "training", "stopping", "left", "finished"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Beat:
    """A sign of life."""

    worker: int  # whose
    life: str  # a random name of the process: one that was started again has another
    to: str  # the life of the process that it is meant for; "": not known yet
    state: str
    why: str = ""  # it stops or has left
    saved: int = -1  # the last step that it has saved; -1: none
    agreement: dict[str, Any] = dataclasses.field(default_factory=dict)  # what must be equal everywhere; at the start

    def encode(self) -> bytes:
        """As a datagram."""
        return zlib.compress(json.dumps(dataclasses.asdict(self)).encode())


def decode(datagram: bytes) -> Beat | None:
    """A beat; None where the datagram is none: anybody may send to a port."""
    try:
        fields = json.loads(zlib.decompressobj().decompress(datagram, _LARGEST))
        good = fields.keys() == _KINDS.keys() and all(type(fields[name]) is kind for name, kind in _KINDS.items())
        return Beat(**fields) if good else None
    except (ValueError, AttributeError, zlib.error):
        return None


@dataclasses.dataclass(kw_only=True)
class Peer:
    """Another worker, as far as it is known here."""

    worker: int
    address: str
    target: tuple | None = None  # the address, looked up
    life: str = ""
    met: bool = False  # it knows of this process too
    state: str = MEETING
    why: str = ""
    saved: int = -1
    agreement: dict[str, Any] = dataclasses.field(default_factory=dict)
    silence: float = 0.0  # seconds
    lost: str = ""  # why it is the cause that others stop for

    def take(self, beat: Beat, own_life: str) -> None:
        """Learns what a beat says."""
        self.met = beat.to == own_life
        self.life, self.state, self.why, self.saved = beat.life, beat.state, beat.why, beat.saved
        self.agreement = beat.agreement or self.agreement
        self.silence = 0.0

    def __str__(self) -> str:
        return f"worker {self.worker} ({self.address})"


def open_socket(address: str) -> socket.socket:
    """Listens for datagrams at the port of host:port.

    Raises:
        InputError: It can't be had.
    """
    host, port = _split(address)
    everywhere = "::" if ":" in host else ""
    opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.bind((host if host in ("localhost", "127.0.0.1", "::1") else everywhere, port))
    except OSError as error:
        opened.close()
        raise InputError(
            f"Expected to listen at {address}, UDP. Received: error={error.strerror!r}. "
            "Choose another port, or end the process that has it."
        ) from None
    return opened


def send(opened: socket.socket, beat: Beat, peer: Peer) -> None:
    """Sends a beat. Whether it arrives shows in the answer: the other may not have come yet, nor have a name."""
    with contextlib.suppress(OSError):
        if peer.target is None:
            host, port = _split(peer.address)
            *_, peer.target = socket.getaddrinfo(host, port, opened.family, socket.SOCK_DGRAM)[0]
        opened.sendto(beat.encode(), peer.target)


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
