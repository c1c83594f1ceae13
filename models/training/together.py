"""The part of a run in which the workers depend on each other: who leaves it early tells the others."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from base.command import Terminated
from models.training.failures import PeerLost, is_lost_peer, telling_line
from models.training.heartbeat import Heartbeat


@contextlib.contextmanager
def together(heartbeat: Heartbeat | None) -> Iterator[None]:
    """From when the workers have met until all have finished; nothing where there is one process alone.

    Raises:
        PeerLost: Another worker was lost, and this could not be seen to within the block; or at its end.
    """
    if heartbeat is None:
        yield
        return
    try:
        yield
    except tf.errors.OpError as error:
        lost = heartbeat.settle() if heartbeat.loss or is_lost_peer(error) else ""
        heartbeat.leave(lost or telling_line(error))
        if not lost:
            raise
        raise PeerLost(lost) from None
    except BaseException as error:
        heartbeat.leave(_reason(error))
        raise
    lost = heartbeat.finish()
    if lost:
        raise PeerLost(lost, kept="This worker had finished")


def _reason(error: BaseException) -> str:
    if isinstance(error, (KeyboardInterrupt, Terminated)):
        return "it was told to stop"
    return " ".join(str(error).split()) or type(error).__name__
