"""Steps a second of Millrace's training loop against Keras' `model.fit`: same model, same batches, same run.

    python benchmarks/training_loop.py [--repeats 7] [--filters 8] [--batch-size 64] ...

Both train the two-block CNN on the same images from memory. They take turns, and each ratio is of neighbours in time,
so that a machine whose speed drifts is fair to both. `fit` is measured as users write it, and with
`steps_per_execution` equal to this loop's steps a call. On a machine that others use, too, the rates by CPU time are
the steadier ones.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from models.cnn import build_cnn
from models.cnn_options import CNNOptions
from models.heads import Head
from models.training import hardware
from models.training.feed import Feed
from models.training.options import HardwareOptions
from models.training.trainer import Trainer, compile_model
from pipelines.parts import Parts
from pipelines.resident import Resident
from pipelines.stages import Stages

STEPS_PER_CALL = 10


def main() -> None:
    """Runs the comparison and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--image-size", type=int, default=28)
    parser.add_argument("--filters", type=int, default=8)
    options = parser.parse_args()
    machine = hardware.prepare(HardwareOptions(strategy="single"))
    examples = options.steps * options.batch_size  # an epoch is `steps` steps for all
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (examples, options.image_size, options.image_size, 1), np.uint8)
    labels = rng.integers(0, 10, examples).astype(np.int32)

    contestants = {
        "millrace": _millrace(machine, images, labels, options),
        "fit, defaults": _fit(images, labels, options, steps_per_execution=1),
        f"fit, steps_per_execution={STEPS_PER_CALL}": _fit(images, labels, options, steps_per_execution=STEPS_PER_CALL),
    }
    for epoch in contestants.values():  # trace, compile, warm up
        epoch()
    wall: dict[str, list[float]] = {name: [] for name in contestants}
    processor: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(options.repeats):
        for name, epoch in contestants.items():
            started = time.perf_counter(), time.process_time()
            epoch()
            wall[name].append(options.steps / (time.perf_counter() - started[0]))
            processor[name].append(options.steps / (time.process_time() - started[1]))
    print(
        f"TensorFlow {tf.__version__}, Keras {keras.__version__}, {machine.options.intra_op_threads} threads; "
        f"two-block CNN, {options.filters} filters, {options.image_size}x{options.image_size}x1, "
        f"batch {options.batch_size}, Adam, {options.steps} steps, {options.repeats} alternating repeats"
    )
    _print("steps/s", wall)
    _print("steps a CPU second", processor)


def _model(options: argparse.Namespace) -> tuple[keras.Model, Head]:
    keras.utils.set_random_seed(0)
    head = Head("softmax", "cross_entropy", 10)
    cnn = CNNOptions(blocks=2, filters=options.filters, batch_norm=True)
    return build_cnn(cnn, (options.image_size, options.image_size, 1), head), head


def _millrace(
    machine: hardware.Hardware, images: np.ndarray, labels: np.ndarray, options: argparse.Namespace
) -> Callable[[], None]:
    model, head = _model(options)
    compile_model(model, head, keras.optimizers.Adam())
    trainer = Trainer(model, head=head, hardware=machine)
    feed = Feed(
        dataset=_batches(images, labels, options.batch_size),
        examples=len(images),
        batch_size=options.batch_size,
    )
    return lambda: trainer.fit(feed, epochs=1, steps_per_call=STEPS_PER_CALL)


def _fit(
    images: np.ndarray, labels: np.ndarray, options: argparse.Namespace, steps_per_execution: int
) -> Callable[[], None]:
    model, head = _model(options)
    model.compile("adam", head.keras_loss(), metrics=[head.keras_accuracy()], steps_per_execution=steps_per_execution)
    # The same input, so that only the loops differ.
    batches = _batches(images, labels, options.batch_size)
    batches = batches.take(options.steps).map(lambda batch: (batch["image"], batch["label"]))
    return lambda: model.fit(batches.prefetch(tf.data.AUTOTUNE), epochs=1, verbose=0)


def _batches(images: np.ndarray, labels: np.ndarray, batch_size: int) -> tf.data.Dataset:
    split = Resident(
        image=tf.constant(images),
        label=tf.constant(labels),
        orientation=None,
        sizes=None,
        frames=None,
        stages=Stages(threads=hardware.available_cores(), prefetch=16),
    )
    return split.training_batches(Parts(batch_size=batch_size), seed=0)


def _print(unit: str, rates: dict[str, list[float]]) -> None:
    ours = rates["millrace"]
    for name, values in rates.items():
        ratios = [a / b for a, b in zip(ours, values, strict=True)]
        print(
            f"{name:28} {statistics.median(values):6.1f} {unit} median, {max(values):6.1f} best;  "
            f"millrace is {statistics.median(ratios):.2f} times as fast "
            f"(median; {min(ratios):.2f} to {max(ratios):.2f}), {max(ours) / max(values):.2f} best to best"
        )


if __name__ == "__main__":
    main()
