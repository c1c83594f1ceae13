"""The shards of one split: records in, TFRecord files of bounded size out, each one on the disk before it counts."""

import dataclasses
import errno
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import tensorflow as tf

from base.files import sync, write_text
from pipelines.conversion import journal
from pipelines.conversion.handover import Buffer
from pipelines.conversion.journal import FinishedShard
from pipelines.conversion.workforce import Handed
from pipelines.conversion.workplace import Workplace
from pipelines.sources.source import Unreadable

SHARD_BYTES = 128 * 10**6
_FRAME = 16  # bytes that TFRecord adds to each record: its length and two checksums

Result = TypeVar("Result")


class ShardWriter:
    """Writes records one after the other; a shard is closed when the next record would make it too large.

    Which shard a record goes to depends on the records alone, not on who prepared them, nor on where a conversion was
    stopped and went on. A closed shard is brought to the disk, summed and entered into the journal by a thread of its
    own, while the next one is written.
    """

    def __init__(self, place: Workplace, split: str, classes: int, number: int, shard_bytes: int) -> None:
        """`number` is that of the first shard to be written."""
        self._place = place
        self._split = split
        self._classes = classes
        self._number = number
        self._shard_bytes = shard_bytes
        self._open = _OpenShard()
        self._writer: tf.io.TFRecordWriter | None = None
        self._sealer = ThreadPoolExecutor(1)
        self._sealing: Future[None] | None = None

    def write(
        self, buffer: Buffer, places: Sequence[int], images: Sequence[Handed | Unreadable], position: int
    ) -> None:
        """Appends the records of a chunk of images, and notes those that can't be written.

        Args:
            buffer: Where the records stand, one after the other.
            places: Of the images, in the source.
            images: What came of each.
            position: Of the first one in the split's order.

        Raises:
            OSError: The disk is full, or what else may keep them from being written.
        """
        records = buffer.read([image.bytes for image in images if not isinstance(image, Unreadable)])
        for at, (place, image) in enumerate(zip(places, images, strict=True), position):
            if isinstance(image, Unreadable):
                self._open.skipped.append((place, image.reason))
                continue
            if self._writer is not None and self._open.bytes + image.bytes + _FRAME > self._shard_bytes:
                self._finish(at)
            if self._writer is None:
                path = self._place.shard(self._split, self._number)
                self._writer = _written(lambda path=path: tf.io.TFRecordWriter(str(path)))
            record = next(records)
            _written(lambda record=record: self._writer.write(record))
            self._open.add(image)

    def close(self, stop: int) -> list[tuple[int, str]]:
        """Closes the last shard, and waits until all are on the disk.

        Args:
            stop: How many positions there are.

        Returns:
            What was skipped and belongs to no shard: all of it, where there is none to belong to.
        """
        if self._writer is not None:
            self._finish(stop)
        self._wait()
        self._sealer.shutdown()
        return self._open.skipped

    def abandon(self) -> None:
        """Lets go of the shard that is open; those that are closed still reach the disk."""
        self._sealer.shutdown()
        self._writer = None

    def _finish(self, stop: int) -> None:
        _written(self._writer.close)
        self._wait()  # one shard at a time: what is in flight stays small
        self._sealing = self._sealer.submit(self._seal, self._open, self._number, stop)
        self._writer, self._open = None, _OpenShard()
        self._number += 1

    def _wait(self) -> None:
        if self._sealing is not None:
            self._sealing.result()

    def _seal(self, shard: "_OpenShard", number: int, stop: int) -> None:
        path = self._place.shard(self._split, number)
        size = path.stat().st_size
        if size != shard.bytes:  # no error was reported, and yet it is not all there
            raise OSError(errno.EIO, f"{size} of {shard.bytes} bytes were written to {path}")
        sync(path)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        write_text(self._place.observed(self._split, number), "".join(f"{line}\n" for line in shard.observed))
        sync(self._place.shards)
        counts = np.bincount(shard.labels, minlength=self._classes)
        journal.append(
            self._place.journal,
            FinishedShard(
                split=self._split,
                number=number,
                stop=stop,
                examples=len(shard.labels),
                bytes=shard.bytes,
                sha256=sha256,
                record_bytes=shard.bytes - _FRAME * len(shard.labels),
                examples_per_class=tuple(counts.tolist()),
                skipped=tuple(shard.skipped),
                grey=shard.grey,
                shapes=tuple(sorted(shard.shapes)),
                oriented=shard.oriented,
            ),
        )


@dataclasses.dataclass
class _OpenShard:
    """What has gone into a shard so far."""

    bytes: int = 0
    labels: list[int] = dataclasses.field(default_factory=list)
    observed: list[str] = dataclasses.field(default_factory=list)
    skipped: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    grey: bool = True
    shapes: set[tuple[int, int]] = dataclasses.field(default_factory=set)
    oriented: int = 0

    def add(self, image: Handed) -> None:
        self.bytes += image.bytes + _FRAME
        self.labels.append(image.label)
        self.observed.append(image.observed)
        self.grey = self.grey and image.grey
        self.oriented += image.oriented
        if len(self.shapes) < 2:
            self.shapes.add((image.height, image.width))


def _written(write: Callable[[], Result]) -> Result:
    """What `write` gives; TensorFlow's errors become those that everybody else has for a full disk."""
    try:
        return write()
    except tf.errors.OpError as error:
        raise OSError(errno.EIO, error.message) from None
