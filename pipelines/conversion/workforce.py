"""Those who prepare the images: a process for each core, or threads where processes can't be made any more.

Threads wait for each other: the decoder frees the interpreter's lock, but all that is Python's takes it again a dozen
times an image. On 2 cores, which then decode 2,160 images of 46 KB a second in full, 2 threads check and write 1,830,
2 processes 2,050.
"""

import contextlib
import functools
import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

import tensorflow as tf

from pipelines.conversion.handover import Buffer
from pipelines.conversion.prepare import Preparer
from pipelines.sources.source import Unreadable


class Handed(NamedTuple):
    """What the shard and the dataset have to know of a record that stands in its chunk's buffer."""

    bytes: int  # of the record
    label: int
    height: int  # as shown
    width: int
    grey: bool
    oriented: bool
    observed: str


Submit = Callable[[str, list[int], int], Future[list[Handed | Unreadable]]]


@contextlib.contextmanager
def workforce(preparer: Preparer, workers: int, buffers: Sequence[Buffer]) -> Iterator[Submit]:
    """Yields a function that has the images of a split at some places prepared.

    Their records go into the buffer of the number given, one after the other. What else is known of them is what the
    future gives.

    Processes are forked, so that they share what was listed and imported. That must come before TensorFlow's runtime
    has started threads, which a forked process would lack: later, as in a notebook, there are threads instead.

    Args:
        preparer: What each of them does.
        workers: How many there are.
        buffers: Each for one chunk of images at a time.
    """
    if _can_fork():
        context = get_context("fork")
        pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(preparer, buffers, os.getpid()))
        work = _work
    else:
        pool = ThreadPoolExecutor(workers)
        work = functools.partial(_write, preparer, buffers)
    try:
        yield functools.partial(pool.submit, work)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _write(
    preparer: Preparer, buffers: Sequence[Buffer], split: str, places: list[int], number: int
) -> list[Handed | Unreadable]:
    prepared = preparer(split, places)
    buffers[number].write([one.record for one in prepared if not isinstance(one, Unreadable)])
    return [one if isinstance(one, Unreadable) else Handed(len(one.record), *one[1:]) for one in prepared]


_own: tuple[Preparer, Sequence[Buffer]] | None = None  # of a process that was forked to prepare


def _begin(preparer: Preparer, buffers: Sequence[Buffer], parent: int) -> None:
    global _own
    _own = preparer, buffers
    gc.freeze()  # what is shared with the parent is not searched for garbage, which would copy it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all of us; our parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    tf.config.threading.set_inter_op_parallelism_threads(1)  # the other cores have processes of their own
    tf.config.threading.set_intra_op_parallelism_threads(1)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """Ends this process when its parent was killed: no one else would tell it."""
    while os.getppid() == parent:
        time.sleep(0.1)
    os._exit(1)


def _work(split: str, places: list[int], number: int) -> list[Handed | Unreadable]:
    return _write(*_own, split, places, number)


def _can_fork() -> bool:
    if not hasattr(os, "fork"):
        return False
    threads = tf.config.threading.get_inter_op_parallelism_threads()
    try:  # TensorFlow says whether its runtime has started only by refusing to change this
        tf.config.threading.set_inter_op_parallelism_threads(threads + 1)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError:
        return False
    return True
