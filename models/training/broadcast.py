"""The newest snapshot of any worker, for all of them: a run goes on without a file system that they share."""

import json
import math
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from models.training.hardware import Hardware
from models.training.snapshot import Snapshot

_CHUNK = 2**20  # int64 numbers in one all-reduce: 8 MiB


def broadcast(hardware: Hardware, snapshot: Snapshot | None) -> Snapshot | None:
    """Gives every worker the newest of the snapshots that they hand in; all must call it.

    It travels as the bits of integers, summed with zeros, so that every array arrives bit for bit.

    Args:
        hardware: With a cluster, or without: then nothing travels.
        snapshot: This worker's, or None.

    Returns:
        That of the highest step, of the lowest worker that has it; None where nobody has one.
    """
    if hardware.heartbeat is None:
        return snapshot
    with hardware.heartbeat.communicating():
        return _newest(_Wire(hardware), hardware, snapshot)


def _newest(wire: "_Wire", hardware: Hardware, snapshot: Snapshot | None) -> Snapshot | None:
    steps = np.zeros(hardware.workers, np.int64)
    steps[hardware.worker] = -1 if snapshot is None else snapshot.step
    steps = wire.summed(steps)
    source = int(steps.argmax())
    if steps[source] < 0:
        return None
    ours = snapshot if source == hardware.worker else None
    header = _header(ours) if ours else np.empty(0, np.uint8)
    length = int(wire.summed(np.int64([header.size]))[0])
    header = header if ours else np.empty(length, np.uint8)
    wire.carry([header], sending=ours is not None)
    facts, shapes = json.loads(header.tobytes())
    arrays = ours.arrays if ours else {name: np.empty(shape, dtype) for name, shape, dtype in shapes}
    wire.carry([_bytes(arrays[name]) for name, *_ in shapes], sending=ours is not None)
    return ours or Snapshot(arrays=arrays, **facts)


class _Wire:
    """Sums of integers over all workers, in chunks of one size, so that one function is traced."""

    def __init__(self, hardware: Hardware) -> None:
        strategy = hardware.strategy

        def reduce(chunk: tf.Tensor) -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            # Of several replicas in a process the first one speaks.
            first = context.replica_id_in_sync_group % (context.num_replicas_in_sync // hardware.workers) == 0
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(first, chunk, tf.zeros_like(chunk)))

        @tf.function(autograph=False, input_signature=[tf.TensorSpec([_CHUNK], tf.int64)])
        def run(chunk: tf.Tensor) -> tf.Tensor:
            return strategy.experimental_local_results(strategy.run(reduce, (chunk,)))[0]

        self._run = run

    def summed(self, values: np.ndarray) -> np.ndarray:
        """The sum of a few int64 values over the workers."""
        chunk = np.zeros(_CHUNK, np.int64)
        chunk[: values.size] = values
        return self._run(chunk).numpy()[: values.size]

    def carry(self, pieces: Sequence[np.ndarray], *, sending: bool) -> None:
        """Carries bytes from the worker that sends into the arrays of the others, uint8 `[N]` each of equal sizes."""
        chunks = math.ceil(sum(piece.size for piece in pieces) / (8 * _CHUNK))
        spans = _spans(pieces)
        for _ in range(chunks):
            chunk = np.zeros(_CHUNK, np.int64)
            places = next(spans)
            view = chunk.view(np.uint8)
            if sending:
                _copy(places, view, into_chunk=True)
            received = self._run(chunk).numpy()
            if not sending:
                _copy(places, received.view(np.uint8), into_chunk=False)


def _spans(pieces: Sequence[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """Cuts pieces into views that fill one chunk after the other."""
    places: list[np.ndarray] = []
    left = 8 * _CHUNK
    for piece in pieces:
        start = 0
        while start < piece.size:
            place = piece[start : start + left]
            places.append(place)
            start, left = start + place.size, left - place.size
            if not left:
                yield places
                places, left = [], 8 * _CHUNK
    if places:
        yield places


def _copy(places: Sequence[np.ndarray], chunk: np.ndarray, *, into_chunk: bool) -> None:
    start = 0
    for place in places:
        part = chunk[start : start + place.size]
        if into_chunk:
            part[:] = place
        else:
            place[:] = part
        start += place.size


def _header(snapshot: Snapshot) -> np.ndarray:
    shapes = [(name, value.shape, value.dtype.name) for name, value in snapshot.arrays.items()]
    return np.frombuffer(json.dumps([snapshot.facts(), shapes]).encode(), np.uint8)


def _bytes(array: np.ndarray) -> np.ndarray:
    """An array's memory, uint8 `[bytes]`."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
