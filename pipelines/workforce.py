"""Those who prepare the images: a process for each core, or threads where processes can't be made any more.

Threads wait for each other: the decoder frees the interpreter's lock, but all that is Python's takes it again a dozen
times an image. On 2 cores, which then decode 2,160 images of 46 KB a second in full, 2 threads check and write 1,830,
2 processes 2,050.
"""

import contextlib
import errno
import functools
import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf

from pipelines.prepare import Preparer
from pipelines.sources.source import Unreadable

FRAME = 16  # bytes that TFRecord adds to each record: its length and two checksums


class Framed(NamedTuple):
    """A record that stands in a file of its chunk, and what the shard and the dataset have to know of it."""

    bytes: int  # with TFRecord's frame
    label: int
    height: int  # as shown
    width: int
    grey: bool
    oriented: bool
    observed: str


Submit = Callable[[str, list[int], Path], Future[list[Framed | Unreadable]]]


@contextlib.contextmanager
def workforce(preparer: Preparer, workers: int) -> Iterator[Submit]:
    """Yields a function that has the images of a split at some places prepared.

    Their records go into a file, one after the other, framed as in a TFRecord file, so that no image is handed from
    process to process. What else is known of them is what the future gives.

    Processes are forked, so that they share what was listed and imported. That must come before TensorFlow's runtime
    has started threads, which a forked process would lack: later, as in a notebook, there are threads instead.

    Args:
        preparer: What each of them does.
        workers: How many there are.
    """
    if _can_fork():
        context = get_context("fork")
        pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(preparer, os.getpid()))
        work = _work
    else:
        pool = ThreadPoolExecutor(workers)
        work = functools.partial(_write, preparer)
    try:
        yield functools.partial(pool.submit, work)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _write(preparer: Preparer, split: str, places: list[int], file: Path) -> list[Framed | Unreadable]:
    prepared = preparer(split, places)
    try:
        with tf.io.TFRecordWriter(str(file)) as writer:
            for one in prepared:
                if not isinstance(one, Unreadable):
                    writer.write(one.record)
    except tf.errors.OpError as error:  # an error of the disk, as everybody else's
        raise OSError(errno.EIO, error.message) from None
    return [one if isinstance(one, Unreadable) else Framed(len(one.record) + FRAME, *one[1:]) for one in prepared]


_preparer: Preparer | None = None  # of a process that was forked to prepare


def _begin(preparer: Preparer, parent: int) -> None:
    global _preparer
    _preparer = preparer
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


def _work(split: str, places: list[int], file: Path) -> list[Framed | Unreadable]:
    return _write(_preparer, split, places, file)


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
