"""What tests of workers share: a chief on loopback that serves in a thread."""

import contextlib
import socket
import threading

from tuning.cluster.chief import Chief
from tuning.cluster.options import Address
from tuning.cluster.server import ChiefServer
from tuning.hours import Hours
from tuning.oracles.journal import Journal
from tuning.oracles.oracle import Oracle
from tuning.search_directory import SearchDirectory

SILENT_SECONDS = 3.0


def free_address() -> str:
    """An address of loopback at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@contextlib.contextmanager
def serving(folder, plan, port=0):
    """A chief, its address, and the thread in which it serves."""
    folder.mkdir(exist_ok=True)
    directory = SearchDirectory(folder)
    journal = Journal(directory.journal, Oracle(plan.space, plan.oracle, seed=0))
    chief = Chief(plan, directory, journal, hours=Hours(directory.hours), silent_seconds=SILENT_SECONDS)
    about = {"search": "s", "silent_seconds": SILENT_SECONDS, "identity": plan.identity()}
    with ChiefServer(chief, plan, about, Address(host="127.0.0.1", port=port)) as server:
        thread = threading.Thread(target=server.serve, daemon=True)
        thread.start()
        yield chief, server.address, thread
    thread.join(timeout=60)
    assert not thread.is_alive()  # it serves no longer than the block
