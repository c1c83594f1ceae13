"""A few hundred records of a split, and how the reader makes pixels of them."""

import dataclasses
import functools
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines import records
from pipelines.images import decode, windows
from pipelines.images.frames import Frames
from pipelines.images.header import UndecodableError, read_header
from pipelines.manifest import Manifest
from pipelines.reading.reader import read_error
from pipelines.reading.split_files import FILE_ERRORS, SplitFiles

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
        decode: From a record (`image`, `orientation`, scalars) to uint8 `[h, w, C]`, and what else `resize` takes.
        resize: From these to the uint8 frame.
        prepare: What it takes of all records `[n]` before, that is too cheap to be a stage.
    """

    decode: Callable[[Columns], Any]
    resize: Callable[..., tf.Tensor]
    prepare: Callable[[Columns], Columns] = lambda columns: columns

    def frame(self, record: Columns) -> tf.Tensor:
        """Both, one after the other, of a prepared record."""
        pixels = self.decode(record)
        return self.resize(*pixels) if isinstance(pixels, tuple) else self.resize(pixels)


def draw(files: SplitFiles, frames: Frames, count: int) -> Sample:
    """Reads the sample.

    Args:
        files: Of the split.
        frames: What its images become.
        count: How many records, fewer where their pixels would take too much memory, or there are fewer.

    Raises:
        InputError: A record that can't be used; it names shard and record.
    """
    try:
        serialized = tf.stack(list(record_bytes(files.paths).take(count)))
        columns = records.parse(serialized)
        sides = _sides(columns, files.manifest)
    except (*FILE_ERRORS, UndecodableError) as error:
        raise read_error(error, files, frames) from None
    decoded = np.cumsum(sides.prod(axis=1) * files.manifest.channels)
    kept = max(1, int((decoded <= _DECODED_BYTES).sum()))
    serialized = serialized[:kept]
    return Sample(
        files=tuple(files.paths),
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
    counts = [count * held // whole.examples for count in whole.examples_per_class]
    counts[0] += held - sum(counts)  # which class has how many of them the manifest does not say
    part = dataclasses.replace(whole, examples=held, examples_per_class=tuple(counts), shards=tuple(kept))
    return dataclasses.replace(manifest, splits={**manifest.splits, split: part})


def decoding(frames: Frames) -> Decoding:
    """What `Frames` does in one go, in two."""
    spec = dataclasses.replace(frames.spec, image_size=frames.size[0])
    stored = (*(frames.manifest.image_shape or ()), frames.manifest.channels)

    def unpacked(record: Columns) -> tf.Tensor:
        pixels = tf.reshape(tf.io.decode_raw(record["image"], tf.uint8), stored)
        if stored[2] == spec.channels:
            return pixels
        return tf.image.grayscale_to_rgb(pixels) if stored[2] == 1 else tf.image.rgb_to_grayscale(pixels)

    def decoded(record: Columns) -> tf.Tensor:
        pixels = tf.io.decode_image(record["image"], channels=spec.channels, expand_animations=False)
        return decode.turn(tf.ensure_shape(pixels, [None, None, spec.channels]), record["orientation"])

    def fitted(pixels: tf.Tensor) -> tf.Tensor:
        return pixels if frames.manifest.encoding == "raw" and stored[:2] == frames.size else decode.fit(pixels, spec)

    def window(record: Columns) -> tuple[tf.Tensor, ...]:
        chosen = windows.Windows(record["ratio"], record["decoded"], record["inner"])
        around = windows.decode_around(record["image"], chosen, spec.channels)
        return (*around, chosen.ratio, record["orientation"])

    def fitted_window(pixels: tf.Tensor, inner: tf.Tensor, ratio: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
        return decode.turn(windows.fit_window(pixels, inner, ratio, frames.size), orientation)

    if frames.crop is not None:
        return Decoding(prepare=functools.partial(_with_windows, frames), decode=window, resize=fitted_window)
    return Decoding(decode=unpacked if frames.manifest.encoding == "raw" else decoded, resize=fitted)


def _with_windows(frames: Frames, columns: Columns) -> Columns:
    """The records with the windows that the crop cuts out of them in the first epoch."""
    sizes, index = windows.image_sizes(columns["image"]), tf.range(len(columns["label"]), dtype=tf.int64)
    shown = windows.shown_sizes(sizes, columns["orientation"])
    boxes = frames.crop.boxes(tf.zeros_like(index), index, shown[:, 0], shown[:, 1])
    boxes = windows.stored_boxes(boxes, shown, columns["orientation"])
    return {**columns, **windows.plan(boxes, sizes, frames.size)._asdict()}


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
