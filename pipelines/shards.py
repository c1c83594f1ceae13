"""The shards of one split: records in, TFRecord files of bounded size out."""

import hashlib
from pathlib import Path

import tensorflow as tf

from pipelines.manifest import Shard

SHARD_BYTES = 128 * 10**6
_FRAME = 16  # TFRecord adds length and two checksums to each record


class ShardWriter:
    """Writes records one after the other; a shard is closed when the next record would make it too large.

    Which shard a record goes to depends on the records alone, not on who prepared them. How many there are is known at
    the end only, so the files get their names, `PREFIX.tfrecord-00000-of-00002`, in `close`.
    """

    def __init__(self, folder: Path, prefix: str, shard_bytes: int = SHARD_BYTES):
        self.record_bytes = 0  # of all records, without TFRecord's frames
        self._folder = folder
        self._prefix = prefix
        self._shard_bytes = shard_bytes
        self._finished: list[Shard] = []
        self._writer: tf.io.TFRecordWriter | None = None
        self._examples = self._bytes = 0

    def write(self, record: bytes) -> None:
        """Appends a record."""
        size = len(record) + _FRAME
        if self._writer is not None and self._bytes + size > self._shard_bytes:
            self._finish()
        if self._writer is None:
            self._writer = tf.io.TFRecordWriter(str(self._path()))
        self._writer.write(record)
        self._examples += 1
        self._bytes += size
        self.record_bytes += len(record)

    def close(self) -> tuple[Shard, ...]:
        """Closes the last shard, and gives all of them their names.

        Returns:
            The shards in order, with sizes and checksums as read back from the files.
        """
        self.abandon()
        return tuple(
            Shard(
                file=self._rename(shard.file, f"{self._prefix}.tfrecord-{place:05d}-of-{len(self._finished):05d}"),
                examples=shard.examples,
                bytes=shard.bytes,
                sha256=shard.sha256,
            )
            for place, shard in enumerate(self._finished)
        )

    def abandon(self) -> None:
        """Closes the file that is open, if one is."""
        if self._writer is not None:
            self._finish()

    def _finish(self) -> None:
        self._writer.close()
        path = self._path()
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        self._finished.append(Shard(file=path.name, examples=self._examples, bytes=path.stat().st_size, sha256=sha256))
        self._writer = None
        self._examples = self._bytes = 0

    def _path(self) -> Path:
        return self._folder / f"{self._prefix}.{len(self._finished)}.part"

    def _rename(self, old: str, new: str) -> str:
        (self._folder / old).rename(self._folder / new)
        return new
