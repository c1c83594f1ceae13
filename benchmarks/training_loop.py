"""Steps a second of Millrace's training loop against Keras' `model.fit`: same model, same batches, turn by turn.

    python benchmarks/training_loop.py [--repeats 7] [--model FILE.py:FUNCTION] [--replicas 2] ...

The contestants train the two-block CNN (or a model of your own) on the same images from memory, each in a process of
its own, since `fit` as users write it has TensorFlow's own choice of kernels for the processor, and Millrace turns
oneDNN's on. They take turns, and each ratio is of neighbours in time, so that a machine whose speed drifts is fair to
all. `fit` is measured with its defaults on the same `tf.data` batches, on arrays, with `steps_per_execution` equal to
this loop's steps a call, and with oneDNN's kernels, too, so that only the loops differ. On a machine that others use,
too, the rates by CPU time are the steadier ones.
"""

import argparse
import multiprocessing
import multiprocessing.connection
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

CLASSES = 10


def main() -> None:
    """Runs the comparison and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--steps-per-call", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--image-size", type=int, default=28)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--filters", type=int, default=8)
    parser.add_argument("--no-batch-norm", action="store_true", help="the CNN has biases instead")
    parser.add_argument("--model", help="path/to/file.py:function, in place of the CNN")
    parser.add_argument("--replicas", type=int, default=1, help="logical CPUs under MirroredStrategy")
    options = parser.parse_args()
    loops = {"millrace": "millrace", "fit": "fit, defaults", "arrays": "fit, defaults, on arrays"}
    if options.replicas == 1:  # with several, `fit` with `steps_per_execution` fails
        loops["several"] = f"fit, steps_per_execution={options.steps_per_call}"
    contestants = {title: _Contestant(loop, options, onednn=loop == "millrace") for loop, title in loops.items()}
    alike = {loop: title for loop, title in loops.items() if loop not in ("millrace", "arrays")}
    contestants |= {f"{title}, oneDNN": _Contestant(loop, options, onednn=True) for loop, title in alike.items()}
    for name, contestant in contestants.items():  # trace, compile, warm up
        print(f"{name}: {contestant.epoch()[2]}")
    wall: dict[str, list[float]] = {name: [] for name in contestants}
    processor: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(options.repeats):
        for name, contestant in contestants.items():
            seconds, cpu_seconds, _ = contestant.epoch()
            wall[name].append(options.steps / seconds)
            processor[name].append(options.steps / cpu_seconds)
    for contestant in contestants.values():
        contestant.end()
    print(f"{options.steps} steps of batch {options.batch_size}, {options.repeats} alternating repeats")
    _print("steps/s", wall)
    _print("steps a CPU second", processor)


class _Contestant:
    """A process that trains for an epoch whenever it is asked to."""

    def __init__(self, loop: str, options: argparse.Namespace, *, onednn: bool) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        spawn.Process(target=_serve, args=(theirs, loop, options, onednn), daemon=True).start()

    def epoch(self) -> tuple[float, float, str]:
        """Seconds, CPU seconds, and what it runs on."""
        self._pipe.send(True)
        return self._pipe.recv()

    def end(self) -> None:
        """Lets the process end."""
        self._pipe.send(False)


def _serve(pipe: multiprocessing.connection.Connection, loop: str, options: argparse.Namespace, onednn: bool) -> None:
    if onednn:
        import models  # noqa: F401 - before TensorFlow, which it sets up
    import tensorflow as tf

    title, epoch = _loop(loop, options)
    while pipe.recv():
        started = time.perf_counter(), time.process_time()
        epoch()
        taken = time.perf_counter() - started[0], time.process_time() - started[1]
        pipe.send((*taken, f"TensorFlow {tf.__version__}, {title}"))


def _loop(loop: str, options: argparse.Namespace) -> tuple[str, Callable[[], Any]]:
    """What it runs on, and a function that trains for an epoch of `options.steps` steps."""
    import keras
    import numpy as np
    import tensorflow as tf

    from models.heads import Head
    from models.training import hardware
    from models.training.compiling import compile_model
    from models.training.feed import Feed
    from models.training.options import HardwareOptions
    from models.training.trainer import Trainer
    from pipelines.reading.parts import Parts

    kind = "mirrored" if options.replicas > 1 else "single"
    machine = hardware.prepare(HardwareOptions(strategy=kind, replicas=options.replicas))
    head = Head("softmax", "cross_entropy", CLASSES)
    rng = np.random.default_rng(0)
    examples = options.steps * options.batch_size
    images = rng.integers(0, 256, (examples, options.image_size, options.image_size, options.channels), np.uint8)
    labels = rng.integers(0, CLASSES, examples).astype(np.int32)
    keras.utils.set_random_seed(0)
    with machine.strategy.scope():
        model = _model(options, images.shape[1:], head)
        if loop == "millrace":
            compile_model(model, head, keras.optimizers.Adam())
        else:
            several = options.steps_per_call if loop == "several" else 1
            metrics = [head.keras_accuracy()]
            model.compile("adam", head.keras_loss(), metrics=metrics, steps_per_execution=several)
    title = f"Keras {keras.__version__}: {model.name}, {model.count_params():,} parameters, {machine.describe()}"
    if loop == "millrace":
        batches = _batches(images, labels, Parts(batch_size=options.batch_size, replicas=options.replicas))
        feed = Feed(dataset=batches, examples=examples, batch_size=options.batch_size)
        trainer = Trainer(model, head=head, hardware=machine)
        return title, lambda: trainer.fit(feed, epochs=1, steps_per_call=options.steps_per_call)
    if loop == "arrays":
        return title, lambda: model.fit(images, labels, batch_size=options.batch_size, epochs=1, verbose=0)
    batches = _batches(images, labels, Parts(batch_size=options.batch_size)).take(options.steps)
    batches = batches.map(lambda batch: (batch["image"], batch["label"])).prefetch(tf.data.AUTOTUNE)
    return title, lambda: model.fit(batches, epochs=1, verbose=0)


def _model(options: argparse.Namespace, shape: tuple[int, int, int], head: Any) -> Any:
    from models.cnn import build_cnn
    from models.cnn_options import CNNOptions
    from models.own_model import build_own_model

    if options.model:
        return build_own_model(options.model, shape, head)
    return build_cnn(CNNOptions(blocks=2, filters=options.filters, batch_norm=not options.no_batch_norm), shape, head)


def _batches(images: Any, labels: Any, parts: Any) -> Any:
    import tensorflow as tf

    from models.training import hardware
    from pipelines.reading.resident import Resident
    from pipelines.reading.stages import Stages

    split = Resident(
        image=tf.constant(images),
        label=tf.constant(labels),
        orientation=None,
        sizes=None,
        frames=None,
        stages=Stages(threads=hardware.available_cores(), prefetch=16),
    )
    return split.training_batches(parts, seed=0)


def _print(unit: str, rates: dict[str, list[float]]) -> None:
    ours = rates["millrace"]
    for name, values in rates.items():
        ratios = [a / b for a, b in zip(ours, values, strict=True)]
        print(
            f"{name:36} {statistics.median(values):6.1f} {unit} median, {max(values):6.1f} best;  "
            f"millrace is {statistics.median(ratios):.2f} times as fast "
            f"(median; {min(ratios):.2f} to {max(ratios):.2f}), {max(ours) / max(values):.2f} best to best"
        )


if __name__ == "__main__":
    main()
