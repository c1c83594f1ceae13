"""A few hundred records of a split, and how the reader makes pixels of them."""

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from base.errors import input_error, require
from pipelines import decode, records
from pipelines.header import UndecodableError, read_header
from pipelines.input_options import InputSpec
from pipelines.manifest import Manifest

Columns = dict[str, tf.Tensor]

_DECODED_BYTES = 512 * 10**6  # that the sample may take in memory
_READ_AT_ONCE = 4  # shards
_ANY_SIZE = 2**62  # the conversion has judged it


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """The first records of a split's first shards, in turn."""

    files: tuple[str, ...]
    serialized: tf.Tensor  # string [n]
    columns: Columns  # as `records.parse` gives them, [n]
    short_sides: np.ndarray  # int64 [n], pixels, as stored
    bytes: int  # of all records

    @property
    def images(self) -> int:
        """n."""
        return len(self.short_sides)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decoding:
    """How one record becomes the model's pixels, in the two stages that are measured.

    Attributes:
        decode: From a record (`image`, `orientation`, scalars) to uint8 `[h, w, C]`.
        resize: From these to uint8 `[image_size, image_size, C]`.
    """

    decode: Callable[[Columns], tf.Tensor]
    resize: Callable[[tf.Tensor], tf.Tensor]


def draw(folder: Path, manifest: Manifest, split: str, count: int) -> Sample:
    """Reads the sample.

    Args:
        folder: The dataset.
        manifest: Its manifest.
        split: Of the dataset.
        count: How many records, fewer where their pixels would take too much memory, or there are fewer.

    Raises:
        InputError: A shard that can't be read.
    """
    files = []
    for shard in manifest.split(split, folder).shards:
        path = Path(folder) / shard.file
        size = path.stat().st_size if path.is_file() else None
        expected = f"Expected the shard {path} of {shard.bytes} bytes, as the manifest says"
        require(size == shard.bytes, expected, bytes=size, do="Convert the source again with --overwrite.")
        files.append(str(path))
    try:
        serialized = tf.stack(list(record_bytes(files).take(count)))
        columns = records.parse(serialized)
        sides = _sides(columns, manifest)
    except (tf.errors.OpError, UndecodableError, ValueError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise input_error(f"Expected readable records in split {split!r} of {folder}", error=reason) from None
    decoded = np.cumsum(sides.prod(axis=1) * manifest.channels)
    kept = max(1, int((decoded <= _DECODED_BYTES).sum()))
    serialized = serialized[:kept]
    return Sample(
        files=tuple(files),
        serialized=serialized,
        columns={name: column[:kept] for name, column in columns.items()},
        short_sides=sides[:kept].min(axis=1),
        bytes=int(tf.reduce_sum(tf.strings.length(serialized))),
    )


def shortened(manifest: Manifest, split: str, examples: int) -> Manifest:
    """The manifest with only as many of the split's shards, from the first, as hold `examples`, at least one."""
    whole = manifest.splits[split]
    kept, held = [], 0
    for shard in whole.shards:
        if held < max(1, examples):
            kept.append(shard)
            held += shard.examples
    part = dataclasses.replace(whole, examples=held, shards=tuple(kept))
    return dataclasses.replace(manifest, splits={**manifest.splits, split: part})


def decoding(encoding: str, stored: tuple[int, int] | None, channels: int, spec: InputSpec) -> Decoding:
    """What `pipelines.decode` does in one go, in two.

    Args:
        encoding: Of the records.
        stored: (height, width) of `raw` records.
        channels: Of `raw` records.
        spec: The model's size, channels and fit.
    """
    if encoding != "raw":

        def decoded(record: Columns) -> tf.Tensor:
            pixels = tf.io.decode_image(record["image"], channels=spec.channels, expand_animations=False)
            pixels.set_shape([None, None, spec.channels])
            return decode.turn(pixels, record["orientation"])

        return Decoding(decode=decoded, resize=lambda pixels: decode.fit(pixels, spec))

    def unpacked(record: Columns) -> tf.Tensor:
        pixels = tf.reshape(tf.io.decode_raw(record["image"], tf.uint8), (*stored, channels))
        if channels == spec.channels:
            return pixels
        return tf.image.grayscale_to_rgb(pixels) if channels == 1 else tf.image.rgb_to_grayscale(pixels)

    return Decoding(decode=unpacked, resize=lambda pixels: decode.fit(pixels, spec))


def seconds_off_the_disk(sample: Sample) -> float:
    """Wall seconds an image of reading the sample after the kernel was asked to forget it.

    Where it does not listen (some network and layered file systems), this is the page cache's time.
    """
    for file in sample.files[:_READ_AT_ONCE]:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(descriptor, 0, sample.bytes, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
    started = time.perf_counter()
    for _ in record_bytes(sample.files).take(sample.images):
        pass
    return (time.perf_counter() - started) / sample.images


def record_bytes(files: Sequence[str]) -> tf.data.Dataset:
    """Serialized records, string scalars, of the shards in turn."""
    shards = tf.data.Dataset.from_tensor_slices(list(files))
    return shards.interleave(lambda file: tf.data.TFRecordDataset(file, buffer_size=1 << 20), _READ_AT_ONCE)


def _sides(columns: Columns, manifest: Manifest) -> np.ndarray:
    """int64 [n, 2]: height and width of each image, as stored."""
    if manifest.encoding == "raw":
        return np.tile(np.array(manifest.image_shape, np.int64), (len(columns["label"]), 1))
    headers = [read_header(image, _ANY_SIZE) for image in columns["image"].numpy()]
    return np.array([(header.height, header.width) for header in headers], np.int64)
