"""What a conversion shows: a bar while it runs, a few lines at its end. Without TensorFlow."""

import contextlib
import sys
from collections.abc import Callable, Iterator

from pipelines.manifest import Manifest

_CLASSES_SHOWN = 10


@contextlib.contextmanager
def progress_bar(images: int, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """Yields a function to be called with the number of images done since its last call.

    Args:
        images: How many there are in all.
        shown: Whether a terminal sees a bar; where standard output is none, there never is one.
    """
    if not (shown and sys.stdout.isatty()):
        yield lambda done: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("converting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), transient=True
    ) as bar:
        task = bar.add_task("", total=images)
        yield lambda done: bar.advance(task, done)


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
    megabytes = sum(shard.bytes for shard in shards) / 1e6
    lines.append(f"  {colour}, {shape}; {len(shards)} shards, {megabytes:,.1f} MB")
    return "\n".join(lines)
