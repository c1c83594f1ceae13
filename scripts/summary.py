#!/usr/bin/env python
"""A model in numbers, layer by layer: `scripts/summary.py RUN | FILE.keras | cnn | VGG16 | file.py:function`."""

import dataclasses
import json
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from base import command, files, native_log
from base.errors import InputError, input_error, require
from base.options import given, option, parse
from models.backbones.table import likeliest_backbone
from models.model_options import NAMES, ModelOptions
from scripts.training.options import recipe_groups


@dataclasses.dataclass(frozen=True, kw_only=True)
class SummaryOptions:
    """Which model, and what of it."""

    model: str = option(
        help="a run's folder, a .keras file, cnn, a backbone's name, or path/to/file.py:function; the last three are "
        "built with the options below, as train.py would, a backbone for images of its usual size"
    )
    data: str | None = option(None, "of a new model: a dataset folder, for the number of classes and the image size")
    classes: int | None = option(None, "of a new model: how many, 10 by default")
    json: bool = option(False, "print JSON in place of the table")
    activations: str | None = option(
        None,
        "an image file: its feature maps at each block's end, and the first filters, become pictures in --out",
    )
    out: str | None = option(None, "a new folder for the pictures")

    @property
    def is_trained(self) -> bool:
        """Whether it names a run or a file."""
        return Path(self.model).is_dir() or self.model.endswith(".keras")

    def __post_init__(self) -> None:
        if not self.is_trained:
            self._require_architecture()
        require(self.classes is None or self.classes >= 2, "Expected --classes of at least 2", classes=self.classes)
        both = (self.activations is None) == (self.out is None)
        require(both, "Expected --activations and --out together", activations=self.activations, out=self.out)
        if self.out is not None:
            image, out = Path(self.activations), Path(self.out)
            require(image.is_file(), "Expected --activations to name an image file", activations=self.activations)
            free = not os.path.lexists(out) or (out.is_dir() and not any(out.iterdir()))
            require(free, "Expected --out to name a new folder, or an empty one", out=self.out)
            files.require_writable(out, "out")

    def _require_architecture(self) -> None:
        try:
            ModelOptions(model=self.model)
        except InputError:
            likely = "" if "/" in self.model else likeliest_backbone(self.model, NAMES)
            raise input_error(
                "Expected MODEL to be a run's folder, a .keras file, cnn, a backbone's name, or file.py:function",
                model=self.model,
                do=likely if likely.startswith("Did") else "There is nothing at that path.",
            ) from None


GROUPS = {
    "summary": SummaryOptions,
    **{title: group for title, group in recipe_groups(SummaryOptions).items() if title != "model"},
}
DESCRIPTION = (
    "Layers with output shapes, parameters, multiply-adds, FLOPs and receptive fields; what a step of training holds "
    "in memory at --batch-size; and pictures of feature maps. A new model takes train.py's options, and so its recipes."
)
_HELD = ("weights", "gradients", "optimizer", "activations", "working")
# Of train.py's options those that mean something for a model that is trained.
_OF_TRAINED = {"image_size", "channels", "fit", "batch_size"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return command.run(_main, argv)


def _main(argv: Sequence[str] | None) -> None:
    argv = list(sys.argv[1:] if argv is None else argv)
    options = parse("summary.py", DESCRIPTION, GROUPS, argv, positional=("model",))
    asked: SummaryOptions = options["summary"]
    chosen = given(argv, GROUPS)
    _require_used(asked, chosen)
    with native_log.captured():
        # TensorFlow takes seconds to import, and what could be refused without it has been.
        from models.summary.report import model_report
        from scripts.judging.summary_model import subject_of

        subject = subject_of(options, chosen)
        report = {
            "model": subject.origin,
            **model_report(
                subject.model, subject.image_shape, optimizer=subject.optimizer, batch_size=subject.batch_size
            ),
        }
        written = [] if asked.out is None else _draw(subject, Path(asked.activations), Path(asked.out))
    if asked.json:
        print(json.dumps(report, indent=2))
        return
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 160)
    _print(report, console)
    for line in written:
        console.print(line, soft_wrap=True)


def _require_used(asked: SummaryOptions, chosen: Collection[str]) -> None:
    """Refuses what would build another model than the trained one that is asked for."""
    known = {field.name for field in dataclasses.fields(SummaryOptions)} - {"data", "classes"}
    unused = sorted({*chosen} - known - _OF_TRAINED)
    require(
        not (asked.is_trained and unused),
        "Expected only --image-size, --channels, --fit and --batch-size with a model that is trained",
        model=asked.model,
        given=unused,
    )


def _print(report: dict[str, Any], console: Console) -> None:
    table = Table("layer", "type", "output", box=None, header_style="bold")
    for title in ("trainable", "frozen", "multiply-adds", "FLOPs", "sees", "stride"):
        table.add_column(title, justify="right")
    for layer in report["layers"]:
        table.add_row(
            layer["name"],
            layer["type"],
            _times(layer["output_shape"]),
            *(f"{layer[name]:,}" if layer[name] else "" for name in ("trainable", "frozen")),
            *("?" if layer[name] is None else _short(layer[name]) for name in ("multiply_adds", "flops")),
            *_seen(layer),
        )
    console.print(table)
    console.print()
    parameters, memory = report["parameters"], report["memory"]
    held = ", ".join(f"{name} {_bytes(memory[name])}" for name in _HELD)
    about = {
        "model": f"{report['model']}; images of {_times(report['image_shape'])}",
        "parameters": ", ".join(f"{name} {parameters[name]:,}" for name in ("total", "trainable", "frozen")),
        "an image": f"{_short(report['multiply_adds'])} multiply-adds; {_short(report['flops'])} FLOPs",
        "a step": f"{_bytes(memory['total'])} at --batch-size {memory['batch_size']}: {held}",
    }
    if report["not_counted"]:
        about["not counted"] = f"{', '.join(report['not_counted'])}: their computation is not known"
    for title, text in about.items():
        console.print(f"{title:>12}  {text}", soft_wrap=True)


def _seen(layer: dict[str, Any]) -> tuple[str, str]:
    field = layer["receptive_field"]
    if field is None:
        return ("all" if layer["sees"] == "the whole image" else "?"), ""
    return _times(field["size"]), _times(field["stride"])


def _times(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))


def _short(count: int) -> str:
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= unit:
            return f"{count / unit:.2f} {name}"
    return str(count or "")


def _bytes(count: int) -> str:
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} B"


def _draw(subject: Any, image: Path, out: Path) -> list[str]:
    """Writes the pictures; returns what is to be said of each."""
    import tensorflow as tf

    from models.summary.activations import draw_filters, draw_maps, ends_of_blocks, feature_maps, first_filters
    from models.summary.calls import calls_of
    from pipelines.images.decode import decode_file
    from pipelines.images.header import UndecodableError

    try:
        pixels = decode_file(image.read_bytes(), subject.spec).numpy()
    except (UndecodableError, OSError, tf.errors.OpError) as error:
        raise input_error("Expected --activations to name an image", activations=str(image), error=str(error)) from None
    calls = calls_of(subject.model, subject.image_shape)
    names = ends_of_blocks(calls)
    maps = feature_maps(subject.model, pixels, names)
    out.mkdir(parents=True, exist_ok=True)
    said = []
    filters = first_filters(calls)
    if filters is not None:
        name, kernel = filters
        draw_filters(out / "filters.png", kernel, f"{name}: filters")
        said.append(f"{out / 'filters.png'}: the filters of {name}")
    for number, name in enumerate(names, start=1):
        path = out / f"{number:02}_{name.replace('/', '_')}.png"
        draw_maps(path, maps[name], f"{name}: {_times(maps[name].shape[:2])}")
        said.append(f"{path}: {maps[name].shape[2]} maps of {name}")
    return said


if __name__ == "__main__":
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # counting needs no accelerator: leave their memory alone
    command.end(main())
