"""Whether those who are to train together can: all have come, and were started alike. Free of TensorFlow."""

from collections.abc import Mapping, Sequence
from typing import Any

from base.errors import InputError, StartAgain
from models.training.beats import LEFT, Peer

_NAMED = 5  # options that differ


def refusal(peers: Sequence[Peer], agreement: Mapping[str, Any]) -> Exception | None:
    """Why not to train with those who have come; None: no reason.

    Args:
        peers: The other workers.
        agreement: What must be the same on all of them, as this one has it.
    """
    for peer in peers:
        if peer.met and peer.state == LEFT:
            return StartAgain(f"Expected all workers to start. Received: {peer} has ended: {peer.why}")
        theirs = peer.agreement
        names = sorted(theirs.keys() | agreement.keys()) if theirs else []
        different = [
            f"{name}={theirs.get(name)!r} there, {agreement.get(name)!r} here"
            for name in names
            if theirs.get(name) != agreement.get(name)
        ]
        if different:
            more = f"; and {len(different) - _NAMED} more" if len(different) > _NAMED else ""
            return InputError(
                f"Expected the same options on all workers. Differing on {peer}: {'; '.join(different[:_NAMED])}{more}."
            )
    return None


def absence(peers: Sequence[Peer], seconds: float) -> Exception | None:
    """Names those who have not answered within `seconds`; None where all have."""
    missing = [peer.address for peer in peers if not peer.met]
    if not missing:
        return None
    return StartAgain(
        f"Expected all workers within {seconds:.0f} s. Received: missing={', '.join(missing)!r}. "
        "Start them too; if they run, let UDP through between the machines, on the workers' ports."
    )
