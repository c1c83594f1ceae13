"""Who makes the training batches, as options; free of TensorFlow."""

import dataclasses
import re

from base.errors import require
from base.options import option

_ADDRESS = re.compile(r"grpc://(?P<host>[^\s/:]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataServiceOptions:
    """Input on other machines."""

    data_service: str | None = option(
        None,
        "grpc://host:port of a dispatcher of scripts/data_service.py: its workers read, decode and crop the training "
        "images, which lie at the same path there; the order of batches is then not fixed, nor resume exact",
        neutral=True,  # a run may go on without it: that its numbers are not fixed has been said
    )

    def __post_init__(self) -> None:
        if self.data_service is not None:
            require_address(self.data_service, "--data-service")


def require_address(address: str, option: str) -> None:
    """Refuses what is not `grpc://host:port`."""
    match = _ADDRESS.fullmatch(address)
    require(
        match is not None and 0 < int(match["port"]) < 65536,
        f"Expected {option} as grpc://host:port",
        **{option.lstrip("-").replace("-", "_"): address},
        do="A dispatcher says its address when scripts/data_service.py starts it.",
    )
