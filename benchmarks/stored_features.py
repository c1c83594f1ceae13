"""An epoch of training a head on stored features against one with the images passed through the frozen backbone.

    python benchmarks/stored_features.py --data DIR --weights FILE [--repeats 5] [--model MobileNetV2 --width 0.35] ...

The same head, batches and order; the images are held decoded in memory, so that the backbone is all that they cost
more. Both are trained by `Trainer.fit` in one process, in turns, and each ratio is of neighbours in time. The first
epoch of each turn, which traces and starts with batches that were ready, is left out. Features are computed before, in
a folder of their own that is removed afterwards; how long that took is said.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import models  # noqa: F401 - before TensorFlow, which it sets up

import keras  # isort: skip

from models.backbones.build import build_backbone_model, head_of
from models.backbones.freezing import unfreeze
from models.backbones.options import BackboneOptions
from models.heads import Head
from models.training import hardware
from models.training.compiling import compile_model
from models.training.options import HardwareOptions
from models.training.trainer import Trainer
from pipelines.images.input_options import InputSpec
from pipelines.manifest import read_manifest
from pipelines.reading.options import ReaderOptions
from pipelines.reading.parts import Parts
from scripts.training.feeds import Data
from scripts.training.stored_features import StoredFeatures


def main() -> None:
    """Runs the comparison and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a dataset folder")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--model", default="MobileNetV2")
    parser.add_argument("--width", type=float, default=0.35)
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--head-units", type=int, nargs="*", default=[])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--stored-epochs", type=int, default=20, help="measured in a turn")
    parser.add_argument("--validate", action="store_true", help="after each epoch, on the validation split")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        contestants = _contestants(options, _linked(options.data, Path(folder)))
        epochs = {"images": 1, "stored features": options.stored_epochs}
        for epoch in contestants.values():
            epoch(1)
        seconds: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(options.repeats):
            for name, epoch in contestants.items():
                seconds[name].append(statistics.median(epoch(epochs[name])))
    for name, values in seconds.items():
        spread = f"{min(values):.4f} to {max(values):.4f}"
        print(f"{name:16} {statistics.median(values):.4f} s an epoch, median of {options.repeats} turns ({spread})")
    ratios = [a / b for a, b in zip(*seconds.values(), strict=True)]
    best = min(seconds["images"]) / min(seconds["stored features"])
    print(
        f"stored features are {statistics.median(ratios):.1f} times as fast "
        f"(median; {min(ratios):.1f} to {max(ratios):.1f}), {best:.1f} best to best"
    )


def _contestants(options: argparse.Namespace, data: Path) -> dict[str, Any]:
    """Name -> function that trains for some epochs, and one before; it gives the seconds of each."""
    machine = hardware.prepare(HardwareOptions(strategy="single"))
    manifest, parts = read_manifest(data), Parts(batch_size=options.batch_size)
    spec = InputSpec(image_size=options.image_size, channels=3, fit="stretch")
    head = Head("softmax", "cross_entropy", len(manifest.classes))
    keras.utils.set_random_seed(0)
    chosen = BackboneOptions(weights=options.weights, width=options.width, head_units=tuple(options.head_units))
    model = build_backbone_model(options.model, chosen, spec.shape, head)
    unfreeze(model, "none")
    print(
        f"{options.model}, {manifest.splits['train'].examples:,} images at {spec.image_size}x{spec.image_size}, ",
        end="",
    )
    print(f"batches of {parts.batch_size}; {machine.describe()}")
    images = Data(data, manifest, spec, parts, ReaderOptions())
    features = StoredFeatures(model, machine, data, manifest, spec, parts, ReaderOptions())
    made = {}
    for name, network, feeds in (("images", model, images), ("stored features", head_of(model), features)):
        compile_model(network, head, keras.optimizers.Adam())
        trainer = Trainer(network, head=head, hardware=machine)
        training = feeds.training("train")
        validation = feeds.evaluation("validation") if options.validate else None
        made[name] = _epochs(trainer, training, validation)
    return made


def _epochs(trainer: Trainer, training: Any, validation: Any) -> Any:
    def epochs(count: int) -> list[float]:
        clock = _Clock()
        trainer.fit(training, validation, epochs=count + 1, callbacks=[clock])
        return clock.seconds[1:]

    return epochs


class _Clock(keras.callbacks.Callback):
    """Seconds of each epoch, what comes between it and the next included."""

    stateless = True

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.seconds: list[float] = []
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        now = time.perf_counter()
        self.seconds.append(now - self._started)
        self._started = now


def _linked(data: Path, folder: Path) -> Path:
    """The same data set in another folder, beside which features may be written."""
    (folder / "data").mkdir()
    for path in data.resolve().iterdir():
        (folder / "data" / path.name).symlink_to(path)
    return folder / "data"


if __name__ == "__main__":
    main()
