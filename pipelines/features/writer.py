"""Vectors in, TFRecord files of bounded size out."""

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from base.errors import input_error, require
from base.files import sync
from pipelines.conversion import shards
from pipelines.features.files import Vectors, serialize
from pipelines.manifest import Shard
from pipelines.native_errors import reason_of

_FRAME = 16  # bytes that TFRecord adds to each record: its length and two checksums


class Rows(NamedTuple):
    """Features of some consecutive examples of a split."""

    features: np.ndarray  # float [n, F]
    label: np.ndarray  # int32 [n]
    index: np.ndarray  # int64 [n]


class FeatureWriter:
    """Writes the features of a split into a folder, one shard after the other.

    Args:
        folder: Empty.
        vectors: The form of each.
    """

    def __init__(self, folder: Path, vectors: Vectors) -> None:
        self._folder, self._vectors = folder, vectors
        self._writer: tf.io.TFRecordWriter | None = None
        self._counts: list[int] = []  # records of each shard
        self._bytes = 0  # of the open one
        self.examples = 0

    def write(self, rows: Rows) -> None:
        """Appends rows, which go on where the last ones ended.

        Raises:
            InputError: Features that are no numbers; a disk that is full or the like.
        """
        expected = np.arange(self.examples, self.examples + len(rows.index))
        if rows.features.shape != (len(expected), self._vectors.length) or not np.array_equal(rows.index, expected):
            raise RuntimeError(f"features {rows.features.shape} of {rows.index}, where {expected} come next")
        finite = np.isfinite(rows.features.astype(np.float32, copy=False)).all(axis=1)
        require(
            bool(finite.all()),
            "Expected finite features of every image",
            index=rows.index[~finite].tolist()[:5],
            do="Give the backbone trained weights, or choose --precision float32 or mixed_bfloat16.",
        )
        with writing(self._folder):
            for features, label, index in zip(*rows, strict=True):
                self._append(serialize(features, int(label), int(index)))
        self.examples += len(expected)

    def close(self) -> list[Shard]:
        """Brings everything to the disk; what there is of shards."""
        with writing(self._folder):
            self._finish()
            kept = []
            for number, examples in enumerate(self._counts):
                path = self._folder / f"features.tfrecord-{number:05d}-of-{len(self._counts):05d}"
                self._open_path(number).rename(path)
                sync(path)
                with path.open("rb") as file:
                    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
                kept.append(Shard(file=path.name, examples=examples, bytes=path.stat().st_size, sha256=sha256))
            return kept

    def _append(self, record: bytes) -> None:
        if self._writer is not None and self._bytes + len(record) + _FRAME > shards.SHARD_BYTES:
            self._finish()
        if self._writer is None:
            self._writer = tf.io.TFRecordWriter(str(self._open_path(len(self._counts))))
            self._counts.append(0)
            self._bytes = 0
        self._writer.write(record)
        self._counts[-1] += 1
        self._bytes += len(record) + _FRAME

    def _finish(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None

    def _open_path(self, number: int) -> Path:
        return self._folder / f"shard.{number:05d}"


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Where something is written: a folder that can't be written to, or a full disk, becomes the user's error."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        reason = reason_of(error) if isinstance(error, tf.errors.OpError) else error.strerror
        do = "Make room or give the right to write there, or train with --features live."
        raise input_error(f"Expected to be able to write features to {folder}", error=reason, do=do) from None
