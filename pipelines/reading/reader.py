"""Shards -> batches: one interface, two readers. `resident` holds a split in memory, `streaming` reads it every epoch.

A batch is a dict:
    image    uint8 `[B, H, W, C]`, 0-255
    label    int32 `[B]`
    index    int64 `[B]`: the example's place in the split
    epoch    int64 `[B]`: how many times it has come before; with balanced sampling, its pass through its class
    weight   float32 `[B]`: 0 for the padding of evaluation's last batch, else 1

A training batch is a pure function of (seed, step), for each reader and its options; the image of an example in an
epoch is the same for both.
"""

import dataclasses
from pathlib import Path
from typing import Protocol

import tensorflow as tf

from base.errors import InputError, input_error, require
from pipelines.images.frames import Frames
from pipelines.native_errors import reason_of
from pipelines.reading import resident, streaming
from pipelines.reading.budget import Budget
from pipelines.reading.options import ReaderOptions
from pipelines.reading.parts import Parts
from pipelines.reading.split_files import FILE_ERRORS, SplitFiles
from pipelines.reading.stages import Stages, stages_for

_WINDOW_RECORDS, _WINDOW_BYTES = 10_000, 128 * 10**6
_SMALLEST_READ, _LARGEST_READ = 4 << 10, 1 << 20  # bytes read ahead of each shard


class Reader(Protocol):
    """What both readers do."""

    @property
    def examples(self) -> int:
        """In the split."""

    def training_batches(self, parts: Parts, *, seed: int, start_step: int = 0) -> tf.data.Dataset:
        """The endless, shuffled stream of this worker's parts, from the step `start_step` on."""

    def evaluation_batches(self, parts: Parts) -> tf.data.Dataset:
        """Every example once, in order; the last batch is padded with weight 0."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Opened:
    """A split that is ready to be read."""

    reader: resident.Resident | streaming.Streamed
    files: SplitFiles
    memory: int  # bytes: what is held, and what may be in flight
    text: str  # how it is held, in words

    @property
    def is_resident(self) -> bool:
        """Whether it is held in memory."""
        return isinstance(self.reader, resident.Resident)


def open_split(
    files: SplitFiles,
    *,
    frames: Frames,
    parts: Parts,
    options: ReaderOptions,
    budget: Budget,
    balanced: bool = False,
) -> Opened:
    """Chooses how a split is read, and reads it where it is to be held.

    Args:
        files: Of the split.
        frames: What its images become.
        parts: How batches are cut.
        options: As the user gave them.
        budget: What may be taken; what is taken is noted.
        balanced: Whether batches are to be drawn class by class.

    Raises:
        InputError: A shard that is missing, of another size than the manifest says, or unreadable; a budget too small
            for what is asked.
    """
    split = files.name
    part_bytes = parts.size * (frames.bytes + files.record_bytes)
    one_batch = parts.own * part_bytes
    require(
        one_batch <= budget.total,
        f"Expected a --memory-budget of at least {one_batch:,} bytes, for one batch of split {split!r}",
        memory_budget=budget.total,
    )
    require(
        not balanced or 0 not in files.split.examples_per_class,
        f"Expected examples of every class in split {split!r} of {files.folder}, for --sampling balanced",
        without=[
            name
            for name, count in zip(files.manifest.classes, files.split.examples_per_class, strict=True)
            if count == 0
        ][:5],
    )
    held = resident.resident_bytes(files, frames)
    stages = stages_for(options, parts, part_bytes, budget.left // 2)
    needed = held + stages.bytes(part_bytes)
    if not _is_held(options, budget, needed, split, balanced):
        return _streamed(files, frames, parts, options, budget, stages, part_bytes)
    try:
        reader = resident.load(files, frames, stages, options.hold_in and Path(options.hold_in))
    except FILE_ERRORS as error:
        raise read_error(error, files, frames) from None
    budget.take(needed)
    what = "encoded images" if frames.crop else f"{frames.dtype.name} {list(frames.shape)}"
    text = f"resident, {what}, {_size(held)} in host memory{reader.held}"
    return Opened(reader=reader, files=files, memory=needed, text=text)


def read_error(error: Exception, files: SplitFiles, frames: Frames) -> InputError:
    """What went wrong while a split was read, with its shard and record where they can be found."""
    found = files.culprit(frames)
    reason = reason_of(error)
    return found or input_error(f"Expected readable records in split {files.name!r} of {files.folder}", error=reason)


def _is_held(options: ReaderOptions, budget: Budget, needed: int, split: str, balanced: bool) -> bool:
    if options.cache == "none":
        return False
    fits = needed <= budget.left
    require(
        fits or options.cache == "auto" and not balanced,
        f"Expected a memory budget of {budget.taken + needed:,} bytes, to hold split {split!r}"
        + (", which --sampling balanced needs" if balanced else ""),
        memory_budget=budget.total,
        do="Raise --memory-budget, choose a smaller --image-size, or "
        + ("--sampling natural." if balanced else "--cache auto."),
    )
    return fits


def _streamed(
    files: SplitFiles,
    frames: Frames,
    parts: Parts,
    options: ReaderOptions,
    budget: Budget,
    stages: Stages,
    part_bytes: int,
) -> Opened:
    interleave = min(options.interleave, len(files.paths))
    read_buffer = max(_SMALLEST_READ, min(_LARGEST_READ, budget.left // (8 * interleave)))
    flight = stages.bytes(part_bytes) + interleave * read_buffer
    # From the records alone: on another machine the same order.
    wanted = options.shuffle_window or max(1, min(_WINDOW_RECORDS, _WINDOW_BYTES // files.record_bytes))
    wanted = min(wanted, files.split.examples)
    # A quarter at least: of a budget of two batches nothing would be left to shuffle with.
    room = max(budget.left - flight, budget.left // 4) // files.record_bytes if budget.is_explicit else wanted
    window = max(1, min(wanted, room))
    reader = streaming.Streamed(
        files=files, frames=frames, stages=stages, window=window, interleave=interleave, read_buffer=read_buffer
    )
    memory = flight + window * files.record_bytes
    budget.take(memory)
    less = f" (of {wanted:,}: the memory budget allows no more)" if window < wanted else ""
    shards = f"{interleave} shard{'s' if interleave > 1 else ''} at a time"
    text = f"streamed, {shards}, window of {window:,} records{less}, {_size(memory)} of buffers"
    return Opened(reader=reader, files=files, memory=memory, text=text)


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
