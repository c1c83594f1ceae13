"""How fast batches come, against what can't be avoided and against other libraries: ratios of one run.

    python benchmarks/reading.py FOLDER [--part jpeg raw small stream] [--repeats 7] [--cores 2] [--peers-python PYTHON]

FOLDER holds full-size JPEGs, at any depth; as many as are asked for are linked into two class folders, again and again.
The contestants take turns, and each ratio is of neighbours in time; where the machine's speed jumps between levels, the
best of each decide. Peers (torch and torchvision, grain, DALI) are taken from `--peers-python`, an interpreter with
whichever of them are installed: `benchmarks/reading_peers.py`.
"""

import argparse
import itertools
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import keras
import numpy as np
import tensorflow as tf

from pipelines.augment.augmentation import Augmentation, HostCrop, host_crop
from pipelines.augment.draws import draws_of
from pipelines.augment.policy import Policy
from pipelines.augment.steps import Flip, RandomResizedCrop
from pipelines.conversion import shards
from pipelines.images import frames, windows
from pipelines.images.input_options import InputSpec
from pipelines.manifest import read_manifest
from pipelines.reading import reader
from pipelines.reading.budget import Budget
from pipelines.reading.options import ReaderOptions
from pipelines.reading.parts import Parts
from pipelines.reading.split_files import SplitFiles
from pipelines.records import parse
from scripts import build_tfrecords

SIZE, BATCH = 224, 64
POLICY = Policy(steps=(RandomResizedCrop(), Flip()))
PEERS = ("torch + Pillow", "grain + Pillow", "DALI on the CPU")
Rate = Callable[[], tuple[float, float | None]]  # images a second, and a CPU second where it is this process's
_PAUSE = 0.5  # seconds in which the contestant before fills its buffers again


def main() -> None:
    """Runs the comparisons and prints a table of each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--part", nargs="*", default=["jpeg", "raw", "small", "stream"])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--batches", type=int, default=15, help="of a turn")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--peers-python", default=sys.executable)
    parser.add_argument("--measure-memory", type=int, metavar="BUDGET", help="of streaming the dataset FOLDER")
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    tf.config.threading.set_inter_op_parallelism_threads(options.cores)
    tf.config.threading.set_intra_op_parallelism_threads(options.cores)
    if options.measure_memory:
        _stream_and_print_memory(options.folder, options.measure_memory)
        return
    print(f"TensorFlow {tf.__version__}, {options.cores} cores, {options.repeats} alternating repeats")
    parts = {"jpeg": _jpeg, "raw": _raw, "small": _small, "stream": _stream}
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.part:
            parts[name](Path(scratch), options)


def _jpeg(scratch: Path, options: argparse.Namespace) -> None:
    folder = _link(options.folder, scratch / "photos", options.images)
    data = _convert(folder, scratch / "keep", "--check", "none")
    turns = {
        "millrace": _batches(_flipped(_training(data, cache="memory")), BATCH, options),
        "crop-decode alone": _batches(_crop_decode_alone(data, options), BATCH, options),
        "Keras, resized only": _batches(
            keras.utils.image_dataset_from_directory(
                str(folder / "train"), image_size=(SIZE, SIZE), batch_size=BATCH, verbose=False
            ).repeat(),
            BATCH,
            options,
            waiting=30,  # its buffers grow as long as they may
        ),
    }
    served = {name: _peer(name, folder / "train", options) for name in PEERS}
    turns |= {name: rate for name, (_, rate) in served.items() if rate}
    print(f"\nJPEG: random-resized-crop {SIZE} and flip, batches of {BATCH}, {options.images:,} full-size images")
    _compare(turns, options.repeats)
    for process, _ in served.values():
        if process:
            process.kill()


def _raw(scratch: Path, options: argparse.Namespace) -> None:
    folder = _link(options.folder, scratch / "photos_raw", options.images)
    form = ("--resize", "exact=256x256", "--encoding", "raw", "--check", "none")
    batches = _training(_convert(folder, scratch / "raw", *form), cache="memory")
    augment = Augmentation(POLICY, seed=0, image_size=(SIZE, SIZE), classes=2)
    step = tf.function(augment, jit_compile=True, autograph=False)
    same = tf.data.Dataset.from_tensors(next(iter(batches))).repeat()
    many = argparse.Namespace(**{**vars(options), "batches": 6 * options.batches})
    turns = {
        "millrace": _steps(batches, step, many),
        "compiled crop alone": _steps(same, step, many),
        "the host's share": _batches(batches, BATCH, many),
    }
    print(f"\nRaw 256x256: crop {SIZE} and flip compiled, end to end; {options.images:,} images")
    _compare(turns, options.repeats)


def _small(scratch: Path, options: argparse.Namespace) -> None:
    rng, count, batch = np.random.default_rng(0), 60_000, 256
    images = rng.integers(0, 256, (count, 28, 28), np.uint8)
    np.savez(scratch / "small.npz", x_train=images, y_train=np.arange(count) % 10)
    form = ("--resize", "exact=28x28", "--encoding", "raw", "--check", "none")
    data = _convert(scratch / "small.npz", scratch / "small", *form)
    labels = (np.arange(count) % 10).astype(np.int32)
    sliced = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(10_000).repeat().batch(batch)

    def one(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        columns = {name: column[0] for name, column in parse(record[tf.newaxis]).items()}
        return tf.reshape(tf.io.decode_raw(columns["image"], tf.uint8), [28, 28, 1]), columns["label"]

    records = tf.data.TFRecordDataset(sorted(str(path) for path in data.glob("*train.tfrecord*"))).repeat()
    parsed = records.map(one, num_parallel_calls=tf.data.AUTOTUNE).shuffle(10_000).batch(batch)
    turns = {
        "millrace": _training(data, cache="memory", policy=None, batch=batch, size=28, channels=1),
        "from_tensor_slices, shuffle, batch": sliced.prefetch(tf.data.AUTOTUNE),
        "parsed one by one": parsed.prefetch(tf.data.AUTOTUNE),
    }
    print(f"\n28x28, batches of {batch}, {count:,} images")
    many = argparse.Namespace(**{**vars(options), "batches": 40 * options.batches})
    _compare({name: _batches(dataset, batch, many) for name, dataset in turns.items()}, options.repeats)


def _stream(scratch: Path, options: argparse.Namespace) -> None:
    before, shards.SHARD_BYTES = shards.SHARD_BYTES, 8 * 10**6  # as many as a large dataset has
    folder = _link(options.folder, scratch / "photos_stream", options.images)
    data = _convert(folder, scratch / "stream", "--check", "none")
    shards.SHARD_BYTES = before
    budget = sum(path.stat().st_size for path in data.glob("*.tfrecord*")) // 4
    turns = {
        "streamed": _batches(_training(data, cache="none", memory_budget=budget), BATCH, options),
        "resident": _batches(_training(data, cache="memory"), BATCH, options),
    }
    print(f"\nStreamed: a set of 4 times its budget of {budget / 1e6:,.0f} MB")
    _compare(turns, options.repeats)
    command = [sys.executable, __file__, str(data), "--measure-memory", str(budget), "--cores", str(options.cores)]
    print(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


def _stream_and_print_memory(data: Path, budget: int) -> None:
    dataset = _training(data, cache="none", memory_budget=budget)
    held = _memory("VmRSS")
    examples = read_manifest(data).splits["train"].examples
    for _ in dataset.take(2 * examples // BATCH):
        pass
    peak = _memory("VmHWM")
    print(
        f"memory of two epochs: peak {peak / 1e6:,.0f} MB, {(peak - held) / 1e6:,.0f} MB above what the imports take; "
        f"budget {budget / 1e6:,.0f} MB, wanted at most {(budget + 500e6) / 1e6:,.0f} MB above"
    )


def _training(data: Path, *, policy=POLICY, batch=BATCH, size=SIZE, channels=3, **options) -> tf.data.Dataset:
    manifest, chosen, parts = read_manifest(data), ReaderOptions(**options), Parts(batch_size=batch)
    spec = InputSpec(image_size=size, channels=channels, fit="stretch")
    opened = reader.open_split(
        SplitFiles(folder=data, manifest=manifest, name="train"),
        frames=frames.training_frames(manifest, spec, policy, host_crop(policy, 0)),
        parts=parts,
        options=chosen,
        budget=Budget(chosen.memory_budget),
    )
    print(f"  {opened.text}")
    return opened.reader.training_batches(parts, seed=0)


def _flipped(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The flip on the host, as the peers have it; in training it is a part of the step on the device."""

    @tf.function(jit_compile=True, autograph=False)
    def flip(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        chosen = draws_of(0, batch["epoch"], batch["index"]).stream(1).uniform(1)[:, :, None, None] < 0.5
        return tf.where(chosen, batch["image"][:, :, ::-1], batch["image"])

    return dataset.map(flip).prefetch(2)


def _crop_decode_alone(data: Path, options: argparse.Namespace) -> tf.data.Dataset:
    records = tf.data.TFRecordDataset(sorted(str(path) for path in data.glob("*train.tfrecord*"))).batch(10**6)
    images = parse(next(iter(records)))["image"]
    sizes, index = windows.image_sizes(images), tf.range(images.shape[0], dtype=tf.int64)
    boxes = HostCrop(RandomResizedCrop(), 0, 0).boxes(tf.zeros_like(index), index, sizes[:, 0], sizes[:, 1])

    def decode(place: tf.Tensor) -> tf.Tensor:
        return tf.shape(tf.io.decode_and_crop_jpeg(images[place], boxes[place], channels=3))

    dataset = tf.data.Dataset.range(images.shape[0]).repeat().map(decode, num_parallel_calls=options.cores)
    threads = tf.data.Options()
    threads.threading.max_intra_op_parallelism = 1
    return dataset.batch(BATCH).prefetch(2).with_options(threads)


def _peer(name: str, folder: Path, options: argparse.Namespace) -> tuple[subprocess.Popen | None, Rate | None]:
    command = [options.peers_python, str(Path(__file__).with_name("reading_peers.py")), name, str(folder)]
    process = subprocess.Popen(
        [*command, str(options.cores)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    answers, _, _ = select.select([process.stdout], [], [], 60)
    if not answers or process.stdout.readline().strip() != "ready":
        process.kill()
        print(f"  missing: {name} ({process.stderr.read().strip().splitlines()[-1:]})")
        return None, None

    def rate() -> tuple[float, None]:
        process.stdin.write(f"{options.batches}\n")
        process.stdin.flush()
        return float(process.stdout.readline()), None

    return process, rate


def _batches(dataset, batch: int, options: argparse.Namespace, waiting: int = 4) -> Rate:
    iterator = iter(dataset)
    next(iterator)

    def rate() -> tuple[float, float]:
        for _ in range(waiting):
            next(iterator)
        wall, processor = time.perf_counter(), time.process_time()
        for _ in range(options.batches):
            next(iterator)
        images = options.batches * batch
        return images / (time.perf_counter() - wall), images / (time.process_time() - processor)

    return rate


def _steps(dataset: tf.data.Dataset, step: Callable[[dict], dict], options: argparse.Namespace) -> Rate:
    """Batches and what the device makes of them, one after the other in one graph, as a training loop has them."""
    iterator = iter(dataset)

    @tf.function(autograph=False)
    def run(count: tf.Tensor) -> tf.Tensor:
        def body(done: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return done + 1, total + step(next(iterator))["image"][0, 0, 0, 0]

        start = tf.constant(0), tf.zeros([])
        return tf.while_loop(lambda done, _: done < count, body, start, parallel_iterations=1)[1]

    def rate() -> tuple[float, float]:
        run(tf.constant(4)).numpy()
        wall, processor = time.perf_counter(), time.process_time()
        run(tf.constant(options.batches)).numpy()
        images = options.batches * BATCH
        return images / (time.perf_counter() - wall), images / (time.process_time() - processor)

    run(tf.constant(options.batches)).numpy()  # memory that was not touched lately comes slowly
    return rate


def _compare(turns: dict[str, Rate], repeats: int) -> None:
    rates: dict[str, list[float]] = {name: [] for name in turns}
    by_processor: dict[str, list[float | None]] = {name: [] for name in turns}
    for _ in range(repeats):
        for name, rate in turns.items():
            time.sleep(_PAUSE)
            wall, processor = rate()
            rates[name].append(wall)
            by_processor[name].append(processor)
    first, ours = next(iter(rates.items()))
    for name, values in rates.items():
        ratios = [a / b for a, b in zip(ours, values, strict=True)]
        print(
            f"{name:36} {statistics.median(values):10,.0f} images/s median, {max(values):10,.0f} best;  {first} is "
            f"{statistics.median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f}), "
            f"{max(ours) / max(values):.2f} best to best{_by_processor(by_processor[first], by_processor[name])}",
            flush=True,
        )


def _by_processor(ours: list[float | None], values: list[float | None]) -> str:
    """The steadier measure where others use the machine, too."""
    if None in values:
        return ""
    return f", by CPU time {statistics.median(a / b for a, b in zip(ours, values, strict=True)):.2f}"


def _memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def _convert(source: Path, out: Path, *options: str) -> Path:
    argv = [str(source), "--out", str(out), "--hold-out", "0", "--quiet", *options]
    if build_tfrecords.main(argv) != 0:
        raise SystemExit(1)
    return out


def _link(source: Path, folder: Path, count: int) -> Path:
    files = sorted(path for path in source.resolve().rglob("*") if path.suffix.lower() in {".jpg", ".jpeg"})
    for name in "ab":
        (folder / "train" / name).mkdir(parents=True)
    for number, path in enumerate(itertools.islice(itertools.cycle(files), count)):
        (folder / "train" / "ab"[number % 2] / f"{number:06d}.jpg").symlink_to(path)
    return folder


if __name__ == "__main__":
    main()
