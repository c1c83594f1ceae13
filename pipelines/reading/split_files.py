"""The files of a split: checked before they are read, and searched when reading has failed."""

import dataclasses
from pathlib import Path
from typing import ClassVar

import tensorflow as tf

from base.errors import InputError, input_error, require
from pipelines import records
from pipelines.conversion.verify import verify
from pipelines.images.frames import Frames
from pipelines.manifest import Manifest, Split
from pipelines.native_errors import reason_of

# What is wrong when a file is; anything else is no matter of the data.
FILE_ERRORS = (
    tf.errors.DataLossError,
    tf.errors.FailedPreconditionError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.OutOfRangeError,
    tf.errors.PermissionDeniedError,
    tf.errors.UnknownError,
    UnicodeDecodeError,  # of a message that quotes bytes of the file
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitFiles:
    """The shards of a split, each found to be there in its full size."""

    folder: Path
    manifest: Manifest
    name: str
    remedy: ClassVar[str] = "Convert the source again with --overwrite."

    def __post_init__(self) -> None:
        split = self.split
        counted = sum(shard.examples for shard in split.shards)
        require(
            counted == split.examples == sum(split.examples_per_class) and counted > 0,
            f"Expected the manifest of {self.folder} to count the examples of split {self.name!r} alike in all places",
            examples=split.examples,
            in_shards=counted,
            in_classes=sum(split.examples_per_class),
            do=self.remedy,
        )
        for shard, path in zip(split.shards, self.paths, strict=True):
            size = Path(path).stat().st_size if Path(path).is_file() else None
            require(
                size == shard.bytes,
                f"Expected the shard {path} of {shard.bytes} bytes, as the manifest says",
                bytes=size,
                do=self.remedy,
            )

    @property
    def split(self) -> Split:
        """What the manifest says of it."""
        return self.manifest.split(self.name, self.folder)

    @property
    def paths(self) -> list[str]:
        """Of the shards, in the order in which examples are numbered through them."""
        return [str(Path(self.folder) / shard.file) for shard in self.split.shards]

    @property
    def bytes(self) -> int:
        """Of all shards."""
        return sum(shard.bytes for shard in self.split.shards)

    @property
    def record_bytes(self) -> int:
        """Of a record, on average, rounded up."""
        return -(-self.bytes // self.split.examples)

    def parsed(self, batch: tf.Tensor) -> dict[str, tf.Tensor]:
        """Records as `records.parse` gives them; refuses labels of no class."""
        columns = records.parse(batch)
        inside = tf.logical_and(columns["label"] >= 0, columns["label"] < len(self.manifest.classes))
        check = tf.debugging.Assert(tf.reduce_all(inside), ["labels of no class:", columns["label"]])
        with tf.control_dependencies([check] if check is not None else []):
            return {name: tf.identity(column) for name, column in columns.items()}

    def culprit(self, frames: Frames) -> InputError | None:
        """Reads the split again, in order: what is wrong with the first record that can't be used, shard and place.

        Args:
            frames: What its images were to become.

        Returns:
            None where every record can be used.
        """
        only = dataclasses.replace(self.manifest, splits={self.name: self.split}, files=())
        try:
            verify(self.folder, only, threads=1)
            with tf.device("/CPU:0"):
                for path in self.paths:
                    self._decode_all(path, frames)
        except InputError as error:
            return error
        return None

    def _decode_all(self, path: str, frames: Frames) -> None:
        for place, record in enumerate(tf.data.TFRecordDataset(path)):
            try:
                columns = self.parsed(record[tf.newaxis])
                frames.whole(columns["image"], columns["orientation"])
            except (tf.errors.OpError, ValueError) as error:
                reason = reason_of(error)
                expected = f"Expected an image that can be decoded to {self.manifest.channels} channels"
                raise input_error(expected, shard=path, record=place, error=reason, do=self.remedy) from None
