"""Source -> shards, in parallel, each image in its place, going on where a conversion was stopped."""

import contextlib
import errno
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from typing import Any

import numpy as np

from base.errors import InputError, input_error
from pipelines.conversion import finish, journal, shards
from pipelines.conversion.finish import Converted
from pipelines.conversion.handover import Buffer, buffers
from pipelines.conversion.journal import FinishedShard
from pipelines.conversion.options import ConvertOptions, RunOptions
from pipelines.conversion.plan import Plan
from pipelines.conversion.prepare import Preparer
from pipelines.conversion.resume import listing_fingerprint, resume
from pipelines.conversion.shards import ShardWriter
from pipelines.conversion.workforce import Submit, workforce
from pipelines.conversion.workplace import Unfinished, Workplace
from pipelines.health.moments import sample_places
from pipelines.images.form import Form
from pipelines.ordered import in_order
from pipelines.sources.source import Source, Unreadable

_CHUNK_BYTES, _CHUNK_IMAGES = 2 * 10**6, 128
_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


def convert(
    place: Workplace,
    source: Source,
    plan: Plan,
    options: ConvertOptions,
    made_by: dict[str, Any],
    *,
    run: RunOptions,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda images, bytes: None,
) -> Converted:
    """Writes a dataset folder, which gets its name when it is complete.

    Args:
        place: Where to work, claimed; `check_destination` has agreed to it. What a stopped conversion of the same
            source and options has finished there is taken over.
        source: The images.
        plan: Which of them go into which split, in which order.
        options: Of this command.
        made_by: What the result depends on, as JSON holds it and the manifest keeps it.
        run: Of this command.
        seed: Draws the images whose pixels are summed up for mean and deviation.
        progress: Called with the numbers of images, and of the bytes of their records, since it was called last.

    Returns:
        What the folder holds, what is wrong with it, and what could not be converted.

    Raises:
        Unfinished: The disk is full; what is finished stays for the next run.
        InputError: Another command's leftovers; with `on_error="fail"` an image that can't be used, and in any case a
            class that is left without training example: then nothing is left behind.
    """
    identity = {
        "made_by": made_by,
        "listing": listing_fingerprint(source, plan.splits),
        "shard_bytes": shards.SHARD_BYTES,
    }
    for problem in source.problems:
        _refuse_or_go_on(f"{source.name}/{problem.id}", problem.reason, options)
    with _room(place):
        kept = resume(place, identity, overwrite=options.overwrite, threads=run.threads)
        preparer = Preparer(
            source=source,
            form=_form(options.form(), source, plan.splits),
            checked=options.check == "decode",
            max_pixels=options.max_pixels,
            sampled=_sampled(plan.splits, seed) if options.check == "decode" else frozenset(),
        )
        with _leaving_what_is_of_use(place):
            lost: list[tuple[int, str]] = []
            # A chunk's buffer is free again when the chunks ahead of it have been handed out.
            with buffers(2 * run.threads + 1) as room, workforce(preparer, run.threads, room) as submit:
                for split, positions in plan.splits.items():
                    done = [shard for shard in kept if shard.split == split]
                    examples = sum(shard.examples + len(shard.skipped) for shard in done)
                    progress(examples, sum(shard.bytes for shard in done))
                    lost += _write_split(place, source, split, positions, done, options, submit, room, progress)
            return finish.finish(place, source, plan, preparer.form, made_by, lost)


def _write_split(
    place: Workplace,
    source: Source,
    split: str,
    positions: np.ndarray,
    done: Sequence[FinishedShard],
    options: ConvertOptions,
    submit: Submit,
    buffers: Sequence[Buffer],
    progress: Callable[[int, int], None],
) -> list[tuple[int, str]]:
    """Writes the shards of a split that are not `done`; returns the images that could not be, and are in no shard."""
    position = done[-1].stop if done else 0
    writer = ShardWriter(place, split, len(source.classes), len(done), shards.SHARD_BYTES)
    tasks = zip(_chunks(positions[position:], source), itertools.cycle(range(len(buffers))), strict=False)
    try:
        results = in_order(lambda task: submit(split, *task), tasks, ahead=len(buffers) - 1)
        with contextlib.closing(results):
            for (chunk, number), images in results:
                for at, image in zip(chunk, images, strict=True):
                    if isinstance(image, Unreadable):
                        _refuse_or_go_on(source.where(at), image.reason, options)
                writer.write(buffers[number], chunk, images, position)
                position += len(chunk)
                progress(len(chunk), sum(image.bytes for image in images if not isinstance(image, Unreadable)))
        return writer.close(len(positions))
    except BaseException:
        writer.abandon()
        raise


def _chunks(positions: np.ndarray, source: Source) -> Iterator[list[int]]:
    """Places that are read at once. Small files go together: handing a task over takes as long as copying one."""
    if source.sizes is None:
        for start in range(0, len(positions), source.at_once):
            yield positions[start : start + source.at_once].tolist()
        return
    start = size = 0
    for end, bytes in enumerate(source.sizes[positions].tolist()):
        if end > start and (size + bytes > _CHUNK_BYTES or end - start == _CHUNK_IMAGES):
            yield positions[start:end].tolist()
            start, size = end, 0
        size += bytes
    if start < len(positions):
        yield positions[start:].tolist()


def _refuse_or_go_on(file: str, reason: str, options: ConvertOptions) -> None:
    if options.on_error == "fail":
        raise input_error(
            "Expected a whole JPEG, PNG, BMP or GIF image",
            file=file,
            error=reason,
            do="Repair the file, remove it, or let it be skipped: --on-error skip.",
        )


def _form(form: Form, source: Source, splits: dict[str, np.ndarray]) -> Form:
    """`form`; for raw pixels with their channels: arrays' own, 3 where there are files, unless the user says so."""
    if form.encoding != "raw" or form.channels is not None:
        return form
    first = [source.read(places[:1].tolist()) for places in splits.values()]
    grey = all(isinstance(raw, np.ndarray) and raw.shape[-1] == 1 for raw in first)
    return Form(encoding=form.encoding, resize=form.resize, quality=form.quality, channels=1 if grey else 3)


def _sampled(splits: dict[str, np.ndarray], seed: int) -> frozenset[int]:
    train = splits.get("train", next(iter(splits.values())))
    return frozenset(sample_places(train, seed).tolist())


@contextlib.contextmanager
def _room(place: Workplace) -> Iterator[None]:
    """Says in our words that the disk is full, or that the system has ended a worker."""
    try:
        yield
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            raise
        raise Unfinished(
            f"Expected room to write {place.out}. Received: error={error.strerror!r}. "
            "Make room, and give the same command again: it goes on from the shards that are finished."
        ) from None
    except BrokenExecutor:
        raise Unfinished(
            f"Expected the workers of {place.out} to live: one was killed, perhaps for want of memory. "
            "Give the same command again with fewer --workers: it goes on from the shards that are finished."
        ) from None


@contextlib.contextmanager
def _leaving_what_is_of_use(place: Workplace) -> Iterator[None]:
    """After bad input nothing stays; after a full disk, a signal or a fault the finished shards do."""
    try:
        yield
    except InputError:
        place.remove()
        raise
    finally:
        if not journal.read(place.journal)[1]:
            place.remove()
