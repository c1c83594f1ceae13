"""A search on several machines, as options; free of TensorFlow, KerasTuner and gRPC."""

import dataclasses

from base.errors import require
from base.options import option

LOOPBACK = "127.0.0.1"
SILENT_SECONDS, PATIENCE = 40.0, 600.0
_WEEK = 7 * 24 * 3600


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """Which part this command has in a search on several machines."""

    chief: str | None = option(
        None,
        "[host:]port: hand out the trials there to workers, and keep the search; it trains nothing itself. Without "
        "host: to this machine alone. There is no authentication: any other host needs a network that only friends "
        "are on",
        neutral=True,
    )
    worker_of: str | None = option(
        None, "host:port of a chief: train what it hands out; --out is a folder of this worker's own", neutral=True
    )
    silent_seconds: float = option(
        SILENT_SECONDS,
        "of a chief: a worker that is silent for so long has its trials queued again; of a worker: how long it waits "
        "for its chief at the start",
        neutral=True,
    )
    wait_for_workers: float = option(
        PATIENCE,
        "of a chief: seconds without any worker, while there are trials left, after which it ends; the same command "
        "goes on",
        neutral=True,
    )

    def __post_init__(self) -> None:
        require(
            self.chief is None or self.worker_of is None,
            "Expected --chief or --worker-of",
            chief=self.chief,
            worker_of=self.worker_of,
            do="A machine that is to have both takes two commands, each with an --out of its own.",
        )
        if self.chief is not None:
            address_of(self.chief, "--chief", host=LOOPBACK)
        if self.worker_of is not None:
            address_of(self.worker_of, "--worker-of")
        require(
            1 <= self.silent_seconds <= 3600,
            "Expected --silent-seconds from 1 to 3600",
            silent_seconds=self.silent_seconds,
        )
        require(
            1 <= self.wait_for_workers <= _WEEK,
            f"Expected --wait-for-workers from 1 to {_WEEK}",
            wait_for_workers=self.wait_for_workers,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Address:
    """A host's name or number, and a port."""

    host: str  # without brackets
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether no other machine reaches it."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address_of(text: str, name: str, *, host: str | None = None) -> Address:
    """An address from `host:port`, `[::1]:port`, or, where there is a `host` for it, from the port alone.

    Raises:
        InputError: It is none; `name` is that of the option.

    Example:
        >>> str(address_of("8000", "--chief", host="127.0.0.1"))
        '127.0.0.1:8000'
    """
    given, _, port = text.rpartition(":")
    bare = given[1:-1] if given.startswith("[") and given.endswith("]") else given
    is_host = _is_name(bare) and (":" not in bare or bare != given)
    is_port = port.isascii() and port.isdigit() and 0 < int(port) < 65536
    expected = f"Expected {name} {'[host:]' if host else 'host:'}port, with a host's name or number and a port to 65535"
    require(is_port and (is_host or (host is not None and not given)), expected, address=text)
    return Address(host=bare or host or "", port=int(port))


def _is_name(host: str) -> bool:
    """Whether the system can be asked for it: no part between its dots is empty, or has more than 63 characters."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return bool(host) and host.isprintable() and not set(host) & set(" /[]")
