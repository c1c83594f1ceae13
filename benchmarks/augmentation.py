"""Images a second of the compiled augmentation against Keras' layers and `ImageDataGenerator`: ratios of one run.

    python benchmarks/augmentation.py [--repeats 7] [--seconds 0.5] [--threads 2]

uint8 batches in memory, float32 out, random draws included. The contestants take turns, and each ratio is of neighbours
in time, so that a machine whose speed drifts is fair to all. Keras' layers run in a `tf.function`; XLA refuses them.

geometry: flip, rotation, zoom, shift and shear, nearest fill, 96x96x3, batch 64.
rand_augment: two layers of magnitude 9 out of 30 (Keras: factor 0.3), 96x96x3, batch 64.
crop: random-resized-crop to 224x224 and flip from 256x256x3, batch 64; nothing to compare with. Its float32 batches are
    larger than 32 MB, which the C library takes anew from the system each time: half of the time. With bfloat16 they
    are smaller, and with MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=4294967296 in the environment they are kept.
On a machine that others use, too, the rates by CPU time are the steadier ones; they don't show who uses both cores.
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
from keras.src.legacy.preprocessing.image import ImageDataGenerator

from pipelines.augment.augmentation import Augmentation
from pipelines.augment.policy import Policy, read_steps

BATCH = 64
CLASSES = 10
_WARM_UP = 3.0  # seconds of each contestant
OURS = "millrace"

Rates = dict[str, list[float]]
Contestant = Callable[[int], object]  # augments so many batches


def main() -> None:
    """Runs the comparisons and prints a table of each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="about how long a contestant's turn is")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (BATCH, 96, 96, 3), np.uint8)
    large = rng.integers(0, 256, (BATCH, 256, 256, 3), np.uint8)
    print(
        f"TensorFlow {tf.__version__}, Keras {keras.__version__}, {options.threads} threads, batch {BATCH}, "
        f"{options.repeats} alternating repeats"
    )
    for name, contestants in (
        ("geometry", _geometry(small)),
        ("rand_augment", _rand_augment(small)),
        ("crop", {OURS: _millrace("random_resized_crop,flip", large, (224, 224))}),
    ):
        wall, processor = _rates(contestants, options)
        _print(name, "images/s", wall)
        _print(name, "images a CPU second", processor)


def _geometry(images: np.ndarray) -> dict[str, Contestant]:
    ours = [
        "flip",
        {"rotation": {"degrees": 20}},
        {"zoom": {"scale": [0.8, 1.2]}},
        {"shift": {"width": 0.1, "height": 0.1}},
        {"shear": {"x": 10}},
    ]
    layers = [
        keras.layers.RandomFlip("horizontal"),
        keras.layers.RandomRotation(20 / 360, fill_mode="nearest"),
        keras.layers.RandomZoom(0.2, fill_mode="nearest"),
        keras.layers.RandomTranslation(0.1, 0.1, fill_mode="nearest"),
        keras.layers.RandomShear(x_factor=0.17, fill_mode="nearest"),
    ]
    generator = ImageDataGenerator(
        rotation_range=20,
        zoom_range=0.2,
        width_shift_range=0.1,
        height_shift_range=0.1,
        shear_range=10,
        horizontal_flip=True,
        fill_mode="nearest",
    )
    flow = generator.flow(images, batch_size=BATCH, shuffle=False)
    return {
        OURS: _millrace(ours, images, images.shape[1:3]),
        "Keras layers": _keras(layers, images),
        "ImageDataGenerator": lambda count: [len(next(flow)) for _ in range(count)],
    }


def _rand_augment(images: np.ndarray) -> dict[str, Contestant]:
    ours = [{"rand_augment": {"layers": 2, "magnitude": 9}}]
    return {
        OURS: _millrace(ours, images, images.shape[1:3]),
        "Keras RandAugment": _keras([keras.layers.RandAugment(num_ops=2, factor=0.3)], images),
    }


def _millrace(augment: str | list, images: np.ndarray, size: tuple[int, int]) -> Contestant:
    policy = Policy(steps=read_steps(augment))
    augmentation = Augmentation(policy, seed=0, image_size=size, classes=CLASSES)
    compiled = tf.function(augmentation, jit_compile=True, autograph=False)
    batch = {
        "image": tf.constant(images),
        "label": tf.zeros([BATCH], tf.int32),
        "index": tf.range(BATCH, dtype=tf.int64),
        "weight": tf.ones([BATCH]),
    }

    def augmented(step: tf.Tensor) -> tf.Tensor:
        # Other draws in each step: what they are decides how much there is to do.
        return compiled({**batch, "epoch": tf.fill([BATCH], tf.cast(step, tf.int64))})["image"]

    return _looped(augmented)


def _keras(layers: list[keras.layers.Layer], images: np.ndarray) -> Contestant:
    batch = tf.constant(images)

    def augmented(step: tf.Tensor) -> tf.Tensor:
        values = tf.cast(batch, tf.float32)
        for layer in layers:
            values = layer(values, training=True)
        return values

    return _looped(augmented)


def _looped(augmented: Callable[[tf.Tensor], tf.Tensor]) -> Contestant:
    """Batches one after the other in one graph, as a training loop and `Dataset.map` have them."""

    @tf.function(autograph=False)
    def run(first: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        def body(step: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return step + 1, total + tf.cast(augmented(step)[0, 0, 0, 0], tf.float32)

        start = first, tf.zeros([])
        return tf.while_loop(lambda step, _: step < first + count, body, start, parallel_iterations=1)[1]

    done = 0

    def contestant(count: int) -> None:
        nonlocal done
        run(tf.constant(done), tf.constant(count)).numpy()
        done += count

    return contestant


def _rates(contestants: dict[str, Contestant], options: argparse.Namespace) -> tuple[Rates, Rates]:
    """Images of each contestant's turns: a second, and a second of the processor."""
    batches = {}
    for name, augment in contestants.items():
        augment(1)  # trace, compile
        # Memory that a virtual machine has not touched lately comes slowly: crops took 28 ms a batch at first, then 11.
        started, calls = time.perf_counter(), 0
        while time.perf_counter() - started < _WARM_UP:
            augment(1)
            calls += 1
        batches[name] = max(round(options.seconds / (time.perf_counter() - started) * calls), 1)
    wall: Rates = {name: [] for name in contestants}
    processor: Rates = {name: [] for name in contestants}
    for _ in range(options.repeats):
        for name, augment in contestants.items():
            images = batches[name] * BATCH
            started = time.perf_counter(), time.process_time()
            augment(batches[name])
            wall[name].append(images / (time.perf_counter() - started[0]))
            processor[name].append(images / (time.process_time() - started[1]))
    return wall, processor


def _print(title: str, unit: str, rates: Rates) -> None:
    ours = rates[OURS]
    for name, values in rates.items():
        line = (
            f"{title:13} {name:20} {statistics.median(values):7,.0f} {unit:21} median, {max(values):7,.0f} best "
            f"({min(values):,.0f} to {max(values):,.0f})"
        )
        if name != OURS:
            ratios = [a / b for a, b in zip(ours, values, strict=True)]
            line += (
                f";  millrace is {statistics.median(ratios):.1f} times as fast (median; "
                f"{min(ratios):.1f} to {max(ratios):.1f}), {max(ours) / max(values):.1f} best to best"
            )
        print(line, flush=True)


if __name__ == "__main__":
    main()
