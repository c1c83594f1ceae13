"""What a conversion shows: a bar while it runs, a few lines at its end. Without TensorFlow."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence

from pipelines.manifest import Manifest
from pipelines.sources.source import Problem

_CLASSES_SHOWN = 10
_PROBLEMS_SHOWN = 5


@contextlib.contextmanager
def progress_bar(images: int | None, *, shown: bool, verb: str = "converting") -> Iterator[Callable[[int, int], None]]:
    """Yields a function to be called with the numbers of images and of bytes done since its last call.

    The first call tells what was done before, by a run that was stopped: it counts, but not for the rates.

    Args:
        images: How many there are in all; None: nobody knows yet.
        shown: Whether a terminal sees a bar; where standard output is none, there never is one.
        verb: What is done to them.
    """
    if not (shown and sys.stdout.isatty()):
        yield lambda done, bytes: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rates]}"), TimeRemainingColumn())
    with Progress(TextColumn(verb), *columns, transient=True) as bar:
        task = bar.add_task("", total=images, rates="")
        seen = 0

        def advance(done: int, bytes: int) -> None:
            nonlocal seen
            seen += bytes
            bar.advance(task, done)
            speed = bar.tasks[0].speed
            completed = bar.tasks[0].completed
            if speed and completed:
                megabytes = speed * seen / completed / 1e6
                bar.update(task, rates=f"{speed:,.0f} images/s  {megabytes:,.1f} MB/s")

        yield advance


def describe(manifest: Manifest) -> str:
    """Splits, classes, sizes, shards and bytes of a dataset in a few lines."""
    lines = []
    for name, split in manifest.splits.items():
        counts = list(zip(manifest.classes, split.examples_per_class, strict=True))
        shown = ", ".join(f"{label} {count}" for label, count in counts[:_CLASSES_SHOWN])
        more = f" and {len(counts) - _CLASSES_SHOWN} more classes" if len(counts) > _CLASSES_SHOWN else ""
        lines.append(f"  {name:<11}{split.examples:>9,}  {shown}{more}")
    shards = [shard for split in manifest.splits.values() for shard in split.shards]
    shape = "sizes differ" if manifest.image_shape is None else "{} x {} pixels".format(*manifest.image_shape)
    colour = "grey" if manifest.channels == 1 else "colour"
    stored = {"keep": "JPEG and PNG", "jpeg": "JPEG", "png": "PNG", "raw": "raw pixels"}[manifest.encoding]
    megabytes = sum(shard.bytes for shard in shards) / 1e6
    lines.append(f"  {stored}, {colour}, {shape}; {len(shards)} shards, {megabytes:,.1f} MB")
    if manifest.oriented:
        how = "each record says how to turn it" if manifest.encoding == "keep" else "turned upright"
        lines.append(f"  {manifest.oriented:,} images with an EXIF orientation: {how}")
    return "\n".join(lines)


def count(manifest: Manifest) -> str:
    """Where every image found has gone, in one line."""
    parts = [
        f"{manifest.found:,} images found",
        f"{manifest.examples:,} converted",
        f"{manifest.skipped:,} skipped",
    ]
    parts += [f"{manifest.left_out:,} left out"] if manifest.left_out else []
    return ", ".join(parts)


def name_problems(problems: Sequence[Problem]) -> list[str]:
    """The first files that were skipped, a line each, whatever their names hold."""
    lines = [f"  skipped {problem.id!r}: {problem.reason}" for problem in problems[:_PROBLEMS_SHOWN]]
    more = len(problems) - _PROBLEMS_SHOWN
    return lines + ([f"  and {more:,} more, all in health.json"] if more > 0 else [])
