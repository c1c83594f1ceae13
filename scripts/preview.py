#!/usr/bin/env python
"""Shows what augmentation makes of images: `scripts/preview.py --data DIR --config RECIPE --out preview.png`."""

import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from base import command, files, native_log
from base.errors import require
from base.options import option, parse
from pipelines.augment.generator_options import joined_policy
from pipelines.images.input_options import resolve
from pipelines.manifest import Manifest, read_manifest
from scripts.training.options import recipe_groups

_COLUMNS = 8
_INCHES = 1.6  # a picture's width
_LETTERS = 20  # of a class's name, that fit above a picture
_MOST_CLASSES = 2  # of a mixed example that are named; mixing mixes two


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreviewOptions:
    """Which images, and where to."""

    data: str = option(help="a dataset folder, made by build_tfrecords.py")
    out: str = option(help="the picture, a .png file; replaced when it exists")
    split: str = option("train", "the split that is shown")
    count: int = option(8, "images: the first ones of a training with the same --seed")

    def __post_init__(self) -> None:
        require(1 <= self.count <= 256, "Expected --count from 1 to 256", count=self.count)
        out = Path(self.out)
        require(out.suffix == ".png" and not out.is_dir(), "Expected --out to name a .png file", out=self.out)
        require(out.absolute().parent.is_dir(), "Expected --out in a folder that is there", out=self.out)
        files.require_writable(out.absolute().parent, "out")


GROUPS = {"preview": PreviewOptions, **recipe_groups(PreviewOptions)}
DESCRIPTION = (
    "Shows the first images of a training, originals above, augmented below, with their labels. It takes every option "
    "of train.py, and so every recipe; those that don't concern images change nothing."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return command.run(_main, argv)


def _main(argv: Sequence[str] | None) -> None:
    options = parse("preview.py", DESCRIPTION, GROUPS, argv)
    asked: PreviewOptions = options["preview"]
    policy = joined_policy(options["augmentation"], options["generator"])
    manifest = read_manifest(Path(asked.data))
    manifest.split(asked.split, Path(asked.data))
    described = policy.describe() if policy else "none"
    with native_log.captured():
        before, after = _batches(options, manifest, policy)
        with files.whole_file(Path(asked.out), suffix=".png") as path:
            _draw(path, before, after, manifest.classes, asked.count, f"{asked.split}; augmentation: {described}")
    print(f"augmentation: {described}", f"{asked.count} images of {asked.split}: {asked.out}", sep="\n")


def _batches(options: dict[str, Any], manifest: Manifest, policy: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first batch of a training, as it is and augmented, as arrays."""
    # TensorFlow takes seconds to import, and what could be refused without it has been.
    from pipelines.augment.augmentation import Augmentation
    from pipelines.reading.parts import Parts
    from scripts.training import feeds

    asked: PreviewOptions = options["preview"]
    spec = resolve(options["input"], manifest.image_shape, manifest.channels)
    even = asked.count + asked.count % 2  # mixing needs pairs
    seed = options["training"].seed
    reading = Path(asked.data), manifest, spec, Parts(batch_size=even, replicas=1), options["reading"]

    def first_batch(data: feeds.Data) -> dict[str, Any]:
        with data.reading():
            return next(iter(data.training(asked.split).dataset))

    batch = augmented = first_batch(feeds.Data(*reading, seed=seed))
    if policy is not None:
        data = feeds.Data(*reading, policy, seed)  # the same images, in the frame that the policy takes them from
        augment = Augmentation(
            policy, seed=seed, image_size=spec.shape[:2], classes=len(manifest.classes), cropped=data.cropped
        )
        augmented = augment(first_batch(data))
    return tuple({name: value.numpy() for name, value in one.items()} for one in (batch, augmented))


def _draw(
    path: Path, before: dict[str, Any], after: dict[str, Any], classes: Sequence[str], count: int, title: str
) -> None:
    """Rows of up to eight originals, each over the row of what became of them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(count, _COLUMNS)
    rows = 2 * -(-count // columns)
    height, width = before["image"].shape[1:3]
    figure = Figure((max(columns * _INCHES, 4), rows * (_INCHES * height / width + 0.25) + 0.5), layout="constrained")
    figure.suptitle(title, fontsize=9, wrap=True)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for place in range(count):
        row, column = 2 * (place // columns), place % columns
        for axis, batch in ((axes[row, column], before), (axes[row + 1, column], after)):
            pixels = batch["image"][place].round().clip(0, 255).astype("uint8")
            axis.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axis.set_title(_named(batch["label"][place], classes), fontsize=8, parse_math=False)
    FigureCanvasAgg(figure).print_png(path, metadata={"Software": None})


def _named(label: Any, classes: Sequence[str]) -> str:
    """A class's name, or of a mixed example the names with their shares."""
    if label.ndim == 0:
        return _short(classes[label])
    largest = label.argsort()[::-1][:_MOST_CLASSES]
    return "\n".join(f"{_short(classes[i])} {label[i]:.2f}" for i in largest if label[i] > 0)


def _short(name: str) -> str:
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"


if __name__ == "__main__":
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # a few pictures: leave the accelerators' memory alone
    sys.exit(main())
