"""How fast `scripts/build_tfrecords.py` converts, against what cannot be avoided and against TFDS: ratios of one run.

    python benchmarks/conversion.py FOLDER [--images 20000] [--repeats 3] [--cores 2] [--scratch DIR]

FOLDER holds images, at any depth; as many as are asked for are linked into two class folders, again and again. The
contestants take turns, each in a process of its own, and each ratio is of neighbours in time, so that a machine whose
speed drifts is fair to all. Start-up (imports, the first images) is left out of the rates; what comes after the last
image, the health report above all, is left out of the first column and counts in the second. The memory is that of the
whole process tree as the command is run, sampled ten times a second.
"""

import argparse
import functools
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import numpy as np
import psutil
import tensorflow as tf
from PIL import Image

from pipelines.conversion.convert import convert
from pipelines.conversion.options import ConvertOptions, RunOptions
from pipelines.conversion.plan import plan_splits
from pipelines.conversion.workplace import claimed
from pipelines.sources.open import open_source
from pipelines.sources.options import SourceOptions

ROOT = Path(__file__).parent.parent
SUFFIXES = {".jpg", ".jpeg", ".png"}
WARM_UP = 200  # images

Rates = tuple[float, float]  # images/s without and with what comes after the last image


def main() -> None:
    """Runs the comparisons and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--few", type=int, default=2_000, help="images of the smaller of the two runs for the memory")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--scratch", type=Path, default=None)
    parser.add_argument("--contestant", choices=CONTESTANTS, help=argparse.SUPPRESS)  # in a process of its own
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    if options.contestant:
        print(json.dumps(CONTESTANTS[options.contestant](options.folder, options.scratch, options.cores)))
        return
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        many = _link(options.folder, Path(scratch) / "many", options.images)
        few = _link(options.folder, Path(scratch) / "few", options.few)
        print(f"TensorFlow {tf.__version__}, {options.cores} cores, {options.images:,} images of {options.folder}")
        _rates(many, Path(scratch), options)
        _memory(few, many, Path(scratch), options)


def _rates(folder: Path, scratch: Path, options: argparse.Namespace) -> None:
    rates: dict[str, list[Rates]] = {name: [] for name in CONTESTANTS}
    for _ in range(options.repeats):
        for name in CONTESTANTS:
            command = [sys.executable, __file__, str(folder), "--contestant", name]
            command += ["--scratch", str(scratch), "--cores", str(options.cores)]
            shown = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            rates[name].append(json.loads(shown.stdout.splitlines()[-1]))
            print(f"  {name:28} {rates[name][-1][0]:8.0f} images/s", file=sys.stderr, flush=True)
    for name, pairs in rates.items():
        first, second = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"{name:28} {first:8.0f} images/s median, {second:8.0f} with the reports")
    _compare("keep, all checks", "decode at full size", rates, 1.0)
    _compare("keep, --check none", "TFDS download_and_prepare", rates, 2.0)
    _compare("short=256, jpeg", "decode + resize + encode", rates, 0.8)


def _compare(ours: str, theirs: str, rates: dict[str, list[Rates]], target: float) -> None:
    ratios = [a[0] / b[0] for a, b in zip(rates[ours], rates[theirs], strict=True)]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    print(f"{ours} / {theirs}: {statistics.median(ratios):.2f} (median; {spread}), target {target}")


def _timed(results: Iterable[object]) -> Rates:
    """The rate at which results come, from the one after the warm-up on."""
    count = 0
    for count, _ in enumerate(results, 1):
        if count == WARM_UP:
            started = time.perf_counter()
    rate = (count - WARM_UP) / (time.perf_counter() - started)
    return rate, rate


def _decode(folder: Path, scratch: Path, cores: int) -> Rates:
    def decode(file: tf.Tensor) -> tf.Tensor:
        return tf.io.decode_jpeg(tf.io.read_file(file), channels=3)

    files = tf.data.Dataset.from_tensor_slices(_files(folder))
    return _timed(files.map(decode, num_parallel_calls=cores))


def _decode_resize_encode(folder: Path, scratch: Path, cores: int) -> Rates:
    with ProcessPoolExecutor(cores, get_context("fork")) as pool:
        return _timed(pool.map(_shrink, _files(folder), chunksize=20))


def _shrink(file: str) -> None:
    pixels = tf.io.decode_jpeg(Path(file).read_bytes(), channels=3).numpy()
    height, width = pixels.shape[:2]
    scale = 256 / min(height, width)
    if scale < 1:
        size = round(width * scale), round(height * scale)
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
    tf.io.encode_jpeg(pixels, quality=95).numpy()


def _converted(folder: Path, scratch: Path, cores: int, **options: str) -> Rates:
    out = scratch / "out"
    shutil.rmtree(out, ignore_errors=True)
    chosen = SourceOptions(source=str(folder))
    wanted = ConvertOptions(out=str(out), **options)
    steps: list[tuple[float, int]] = []  # when so many images were done
    source = open_source(chosen)
    with claimed(wanted.out_path) as place:
        convert(
            place,
            source,
            plan_splits(source, chosen),
            wanted,
            chosen.made_by(),
            run=RunOptions(workers=cores),
            progress=lambda images, bytes: steps.append((time.perf_counter(), images + (steps[-1][1] if steps else 0))),
        )
    ended = time.perf_counter()
    started, warm = next(step for step in steps if step[1] >= WARM_UP)
    last, total = steps[-1]
    return (total - warm) / (last - started), (total - warm) / (ended - started)


def _photos(folder: Path) -> type:
    """The builder that a user of TFDS writes for a folder of class folders: the files' bytes, as they are."""
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()

    class Photos(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self) -> tfds.core.DatasetInfo:
            label = tfds.features.ClassLabel(names=sorted(path.name for path in folder.iterdir()))
            features = tfds.features.FeaturesDict({"image": tfds.features.Image(), "label": label})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager: object) -> dict:
            return {"train": self._generate_examples()}

        def _generate_examples(self) -> Iterator[tuple[str, dict]]:
            for path in sorted(folder.rglob("*.jpg")):
                yield str(path), {"image": path, "label": path.parent.name}

    return Photos


def _tfds(folder: Path, scratch: Path, cores: int) -> Rates:
    out = scratch / "tfds"
    shutil.rmtree(out, ignore_errors=True)
    builder = _photos(folder)(data_dir=str(out))
    started = time.perf_counter()
    builder.download_and_prepare()
    rate = len(_files(folder)) / (time.perf_counter() - started)
    return rate, rate


CONTESTANTS: dict[str, Callable[[Path, Path, int], Rates]] = {
    "decode at full size": _decode,
    "keep, all checks": _converted,
    "TFDS download_and_prepare": _tfds,
    "keep, --check none": functools.partial(_converted, check="none"),
    "decode + resize + encode": _decode_resize_encode,
    "short=256, jpeg": functools.partial(_converted, encoding="jpeg", resize="short=256"),
}


def _files(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*.jpg"))


def _memory(few: Path, many: Path, scratch: Path, options: argparse.Namespace) -> None:
    peaks = []
    for folder, count in ((few, options.few), (many, options.images)):
        out = scratch / f"memory_{count}"
        command = [sys.executable, str(ROOT / "scripts/build_tfrecords.py"), str(folder), "--out", str(out), "--quiet"]
        command += ["--workers", str(options.cores)]
        peaks.append(
            _peak(subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)}))
        )
        print(f"peak memory, {count:,} images: {peaks[-1] / 1e6:,.0f} MB (PSS of the process tree)")
    print(f"ratio {peaks[1] / peaks[0]:.2f}, target at most 1.2, and 1,500 MB")


def _peak(process: subprocess.Popen) -> int:
    peak = 0
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        total = 0
        for one in (watched, *watched.children(recursive=True)):
            try:
                total += one.memory_full_info().pss
            except psutil.Error:  # it has just ended
                continue
        peak = max(peak, total)
        time.sleep(0.1)
    return peak


def _link(source: Path, folder: Path, count: int) -> Path:
    files = sorted(path for path in source.resolve().rglob("*") if path.suffix.lower() in SUFFIXES)
    for name in "ab":
        (folder / name).mkdir(parents=True)
    for number, path in enumerate(itertools.islice(itertools.cycle(files), count)):
        (folder / "ab"[number % 2] / f"{number:06d}.jpg").symlink_to(path)
    return folder


if __name__ == "__main__":
    main()
