"""Who trains together on several machines: from TF_CONFIG or the command line. Free of TensorFlow.

SLURM's tasks are read by TensorFlow's own resolver, see `slurm`.
"""

import dataclasses
import json
import socket
from collections.abc import Mapping

from base.errors import InputError, input_error, require


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of a run; the first one is the chief, who writes."""

    addresses: tuple[str, ...]  # host:port each
    index: int  # of this process

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run's files."""
        return self.index == 0

    def describe(self) -> str:
        """Who this is among how many."""
        role = "the chief" if self.is_chief else f"worker {self.index}"
        return f"{role} of {len(self.addresses)} workers, at {self.addresses[self.index]}"


def find_cluster(workers: str | None, index: int | None, environment: Mapping[str, str]) -> Cluster | None:
    """The cluster that the options name, or else TF_CONFIG; None where there is neither.

    Args:
        workers: "host:port,host:port,...", the same for all workers.
        index: Of this one.
        environment: Of the process.

    Raises:
        InputError: They contradict themselves, or TF_CONFIG can't be read.
    """
    if workers is not None:
        addresses = tuple(address.strip() for address in workers.split(","))
        require(index is not None, "Expected --worker-index with --workers", workers=workers)
        return _checked(addresses, index, "--workers")
    text = environment.get("TF_CONFIG")
    if not text:
        return None
    try:
        config = json.loads(text)
        addresses = tuple(config["cluster"]["worker"])
        task = config["task"]
        kind, index = task["type"], int(task["index"])
    except (ValueError, KeyError, TypeError) as error:
        raise input_error(
            'Expected TF_CONFIG as {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}',
            error=f"{type(error).__name__}: {error}",
        ) from None
    require(kind == "worker" and set(config["cluster"]) == {"worker"}, "Expected only workers in TF_CONFIG", task=kind)
    return _checked(addresses, index, "TF_CONFIG")


def require_free_port(address: str) -> None:
    """Refuses to be a worker at an address whose port another process has; TensorFlow would abort the process."""
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host if host in ("localhost", "127.0.0.1") else "", int(port)))
        except OSError as error:
            raise InputError(
                f"Expected to listen at {address}. Received: error={error.strerror!r}. "
                "Choose another port, or end the process that has it."
            ) from None


def _checked(addresses: tuple[str, ...], index: int, source: str) -> Cluster:
    for address in addresses:
        host, _, port = str(address).rpartition(":")
        require(
            bool(host) and port.isdigit() and 0 < int(port) < 65536,
            f"Expected host:port for each worker of {source}",
            worker=address,
        )
    require(len(set(addresses)) == len(addresses), f"Expected each worker of {source} once", workers=list(addresses))
    require(
        0 <= index < len(addresses), f"Expected the index of one of {source}'s {len(addresses)} workers", index=index
    )
    return Cluster(addresses, index)
