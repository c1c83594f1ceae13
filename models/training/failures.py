"""What TensorFlow raises in the middle of a step, in a line that says what to do."""

import re
from collections.abc import Callable, Sequence

import tensorflow as tf

from base.errors import InputError, StartAgain
from models.training.heartbeat import Heartbeat

# What a collective operation says that finds a worker gone.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.InternalError,
    tf.errors.DeadlineExceededError,
)
_UNCOMPILED = re.compile(r"(\w+) \(No registered '\w+' OpKernel for (XLA_\w+).*?\{\{node ([^}]+)\}\}")


class PeerLost(StartAgain):
    """Another worker has died, hangs, has ended or can't be reached."""

    def __init__(self, why: str, kept: str = "The last checkpoint stays") -> None:
        super().__init__(f"Expected all workers to live. Received: lost={why!r}. {kept}: start all of them again.")


class NotFinite(InputError):
    """A step's loss or gradients were no numbers; the weights are those from before it.

    Args:
        step: Counted from 0.
        epoch: Counted from 0.
        saved: Whether the moment before the step is saved, to be replayed.
        index: int64 `[B]`, the examples of the global batch, where they are known.
        ids: Of the first few of them.
    """

    def __init__(
        self, step: int, epoch: int, *, saved: bool = False, index: Sequence[int] = (), ids: Sequence[str] = ()
    ) -> None:
        received = f"step={step}, epoch={epoch + 1}"
        if len(index):
            named = ", ".join(f"{i} {name!r}" for i, name in zip(index, ids, strict=False))
            more = f", and {len(index) - len(ids)} more" if len(index) > len(ids) else ""
            received += f", examples: {named}{more}"
        replayed = "; the same command with --replay shows that step layer by layer" if saved else ""
        super().__init__(
            f"Expected a finite loss and finite gradients. Received: {received}. Lower --learning-rate, clip the "
            f"gradients (--clip-global-norm), or look at the examples{replayed}."
        )
        self.step, self.epoch, self.saved, self.index = step, epoch, saved, tuple(index)


def is_lost_peer(error: tf.errors.OpError) -> bool:
    """Whether an error of a step among several workers comes of one that is gone."""
    return isinstance(error, _LOST)


def lost(peers: Heartbeat, error: tf.errors.OpError, step: int, save: Callable[[], bool] | None) -> PeerLost:
    """The run is saved, where that is this worker's to do; an error that says so.

    Args:
        peers: The other workers.
        error: Of the step that found one gone.
        step: Steps done.
        save: Saves the run; whether it could.
    """
    why = peers.settle() or telling_line(error)
    if peers.saved_elsewhere >= step or (save is not None and save()):
        return PeerLost(why, f"The run is saved at step {step}")
    if peers.writes:
        return PeerLost(why)
    return PeerLost(why, f"Worker {peers.lowest_alive} saves the run at step {step}")


def uncompiled(error: tf.errors.OpError, layers: Sequence[str]) -> InputError | None:
    """Which layer's operation XLA can't compile; None where that is not what the error says.

    Args:
        error: Of the first call of a compiled step.
        layers: The names of the model's layers.
    """
    match = _UNCOMPILED.search(error.message or "")
    if match is None:
        return None
    operation, device, node = match.groups()
    parts = [re.sub(r"_\d+$", "", part) for part in node.split("/")]
    layer = next((name for part in (*node.split("/"), *parts) for name in layers if part == name), None)
    where = f"layer {layer!r}" if layer else f"node {node!r}"
    return InputError(
        f"Expected a model that XLA compiles. Received: operation={operation!r} of {where}, which {device} does not "
        "have. Train with --xla off, or put another layer there."
    )


def telling_line(error: tf.errors.OpError) -> str:
    """The line of an error's message that says most."""
    lines = [line.strip() for line in (error.message or "").splitlines()]
    telling = [line for line in lines if "aborted by" in line or "onnect" in line]
    return (telling or lines or [type(error).__name__])[0][:200]
