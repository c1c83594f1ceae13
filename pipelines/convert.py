"""Source -> shards, manifest and TFDS metadata, in parallel, whole or not at all."""

import collections
import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from base.errors import input_error
from base.files import whole_folder, write_json
from pipelines.convert_options import ConvertOptions
from pipelines.encoded import Encoded, UndecodableError, check, encode
from pipelines.manifest import FILE_NAME, Manifest, Split
from pipelines.records import serialize
from pipelines.shards import SHARD_BYTES, ShardWriter
from pipelines.sources.source import Source
from pipelines.tfds_metadata import dataset_name, write_tfds_metadata


def convert(
    source: Source,
    splits: dict[str, np.ndarray],
    options: ConvertOptions,
    made_by: dict[str, Any],
    *,
    progress: Callable[[int], None] = lambda images: None,
    shard_bytes: int = SHARD_BYTES,
) -> Manifest:
    """Writes a dataset folder at `options.out`, which appears when it is complete.

    Args:
        source: The images.
        splits: Name -> the places of its examples in the order in which they are to stand.
        options: Of this command; `check_destination` has agreed to them.
        made_by: What the result depends on, as the manifest keeps it.
        progress: Called with the number of images written since it was called last.
        shard_bytes: The size that a shard keeps within, if its first record does.

    Returns:
        What the folder holds.

    Raises:
        InputError: An image that can't be read or decoded; nothing is left behind.
    """
    out = options.out_path
    name = dataset_name(out.name)
    seen = _Seen()
    with whole_folder(out) as folder:
        written: dict[str, Split] = {}
        record_bytes: dict[str, int] = {}
        for split, places in splits.items():
            writer = ShardWriter(folder, f"{name}-{split}", shard_bytes)
            written[split] = _write_split(writer, source, places, seen, progress)
            record_bytes[split] = writer.record_bytes
        channels = 1 if seen.grey else 3
        write_tfds_metadata(
            folder, classes=source.classes, channels=channels, splits=written, record_bytes=record_bytes
        )
        manifest = Manifest(
            classes=source.classes,
            channels=channels,
            image_shape=next(iter(seen.shapes)) if len(seen.shapes) == 1 else None,
            splits=written,
            made_by=made_by,
            files=tuple(sorted([FILE_NAME, *(path.name for path in folder.iterdir())])),
        )
        write_json(folder / FILE_NAME, manifest.to_json())
    return manifest


@dataclasses.dataclass
class _Seen:
    """What all images so far have in common."""

    grey: bool = True
    shapes: set[tuple[int, int]] = dataclasses.field(default_factory=set)  # at most two: enough to know they differ

    def add(self, image: Encoded) -> None:
        self.grey = self.grey and image.grey
        if len(self.shapes) < 2:
            self.shapes.add((image.height, image.width))


def _write_split(
    writer: ShardWriter, source: Source, places: np.ndarray, seen: _Seen, progress: Callable[[int], None]
) -> Split:
    try:
        with contextlib.closing(_prepared(source, places)) as chunks:  # no thread outlives an error
            for chunk, images in chunks:
                for place, image in zip(chunk, images, strict=True):
                    writer.write(serialize(image.data, int(source.labels[place]), source.ids[place]))
                    seen.add(image)
                progress(len(chunk))
    except BaseException:
        writer.abandon()
        raise
    shards = writer.close()
    examples = sum(shard.examples for shard in shards)
    if examples != len(places):
        raise RuntimeError(f"{len(places)} images were to be written, {examples} were.")
    counts = np.bincount(source.labels[places], minlength=len(source.classes))
    return Split(examples=examples, examples_per_class=tuple(counts.tolist()), shards=shards)


def _prepared(source: Source, places: np.ndarray) -> Iterator[tuple[list[int], list[Encoded]]]:
    """Chunks of `places` with their images, in order; read, decoded and encoded by all cores, a few chunks ahead."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    pending: collections.deque[tuple[list[int], Future[list[Encoded]]]] = collections.deque()
    with ThreadPoolExecutor(cores) as pool:
        try:
            for start in range(0, len(places), source.at_once):
                chunk = places[start : start + source.at_once].tolist()
                pending.append((chunk, pool.submit(_prepare, source, chunk)))
                if len(pending) > 2 * cores:
                    done, images = pending.popleft()
                    yield done, images.result()
            for done, images in pending:
                yield done, images.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _prepare(source: Source, places: Sequence[int]) -> list[Encoded]:
    raw = source.read(places)
    if isinstance(raw, np.ndarray):
        return encode(raw)
    return [_checked(data, source, place) for data, place in zip(raw, places, strict=True)]


def _checked(data: bytes, source: Source, place: int) -> Encoded:
    try:
        return check(data)
    except UndecodableError as error:
        raise input_error(
            "Expected a whole JPEG, PNG, BMP or GIF image",
            file=source.where(place),
            error=str(error),
            do="Repair the file, or remove it.",
        ) from None
