"""What a trial costs beside its steps, against a script that imports Keras, builds the model and trains one batch.

    python benchmarks/trial_overhead.py [--trials 6] [--parallel 2] [--repeats 5] [--search DIR]

A trial's overhead is what its `result.json` says: from the search's asking for its process to the end of its first
step, from its last step to the end of the process (validation, checkpoint, best weights, report), and the time that its
slot had been empty before. The trials have an epoch each of ten batches; the script has the same network and batch, and
one thread, too. Searches and scripts take turns, as many scripts at a time as trials, each on a core of its own, and
each ratio is of neighbours in time. The first trial in each slot is left out, which waits for nobody. With `--search`
the trials are those of a search that stands there, of whatever network.
"""

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from commands import run

IMAGES, BATCH, SIZE, CLASSES = 640, 64, 28, 2
CNN = {"blocks": 2, "filters": 8, "batch_norm": True}
PARTS = ("to_first_step", "after_last_step", "idle_before")
TARGET = 1.5

PEER = f"""
import os, sys
os.sched_setaffinity(0, [int(sys.argv[1])])
import models  # oneDNN's kernels, as a trial has them
import keras
import numpy as np
import tensorflow as tf
from models.cnn import build_cnn
from models.cnn_options import CNNOptions
from models.heads import Head

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
head = Head("softmax", "cross_entropy", {CLASSES})
model = build_cnn(CNNOptions(**{CNN}), ({SIZE}, {SIZE}, 1), head)
model.compile("adam", head.keras_loss(), metrics=[head.keras_accuracy()])
model.train_on_batch(np.zeros([{BATCH}, {SIZE}, {SIZE}, 1], np.uint8), np.zeros([{BATCH}], np.int32))
"""


def main() -> None:
    """Runs the comparison and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=6, help="a turn; the same number of scripts")
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--search", type=Path, help="the folder of a search, in place of those that are made here")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[: options.parallel]
    os.sched_setaffinity(0, cores)
    _scripts(cores, 1)  # the first reads files from disk
    trials, scripts = [], []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if options.search is None:
            _make_data(folder)
        for turn in range(options.repeats):
            out = options.search or _search(folder, folder / f"search {turn}", options)
            trials.append(overheads(out))
            scripts.append(_scripts(cores, -(-options.trials // options.parallel)))
    _print(trials, scripts)


def overheads(search: Path) -> list[dict[str, float]]:
    """The parts of the overhead of each execution that had one before it in its slot, in seconds."""
    results = [json.loads(file.read_text()) for file in sorted(search.glob("trials/*/result.json"))]
    executions = [{part: one[part] for part in PARTS} for result in results for one in result["executions"]]
    return [parts for parts in executions if None not in parts.values()]


def _print(trials: list[list[dict[str, float]]], scripts: list[list[float]]) -> None:
    if not all(trials):
        raise SystemExit("no trial says when its steps were: its run has no clock.json, or none came after another")
    ours = [[sum(parts.values()) for parts in turn] for turn in trials]
    for name, turns in (("a trial's overhead", ours), ("the script", scripts)):
        seconds = [value for turn in turns for value in turn]
        spread = f"{min(seconds):.2f} to {max(seconds):.2f}"
        print(f"{name:20} {statistics.median(seconds):6.2f} s, median of {len(seconds)} ({spread})")
    for part in PARTS:
        seconds = [parts[part] for turn in trials for parts in turn]
        spread = f"{min(seconds):.2f} to {max(seconds):.2f}"
        print(f"  {part.replace('_', ' '):18} {statistics.median(seconds):6.2f} s ({spread})")
    ratios = [statistics.median(a) / statistics.median(b) for a, b in zip(ours, scripts, strict=True)]
    best = min(map(min, ours)) / min(map(min, scripts))
    print(
        f"a trial's overhead is {statistics.median(ratios):.2f} of the script (median of {len(ratios)} turns; "
        f"{min(ratios):.2f} to {max(ratios):.2f}), {best:.2f} best to best, target at most {TARGET}"
    )


def _make_data(folder: Path) -> None:
    rng = np.random.default_rng(0)
    images = {f"x_{split}": rng.integers(0, 256, (IMAGES, SIZE, SIZE), np.uint8) for split in ("train", "validation")}
    labels = {f"y_{split}": np.arange(IMAGES) % CLASSES for split in ("train", "validation")}
    np.savez(folder / "images.npz", **images, **labels)
    run("scripts/build_tfrecords.py", folder / "images.npz", "--out", folder / "data", "--quiet")
    searched = {"learning_rate": {"float": [1e-4, 1e-2], "log": True}}
    (folder / "recipe.yaml").write_text(json.dumps({**CNN, **searched, "batch_size": BATCH, "epochs": 1}))  # YAML, too


def _search(folder: Path, out: Path, options: argparse.Namespace) -> Path:
    budget = ("--trials", options.trials, "--parallel", options.parallel, "--bind-cores")
    places = ("--data", folder / "data", "--out", out, "--config", folder / "recipe.yaml")
    run("scripts/tune.py", *places, *budget)
    return out


def _scripts(cores: list[int], each: int) -> list[float]:
    """Seconds of the script, so often on each core, on all of them at the same time."""
    with ThreadPoolExecutor(len(cores)) as pool:
        taken = pool.map(lambda core: [_script(core) for _ in range(each)], cores)
        return list(itertools.chain.from_iterable(taken))


def _script(core: int) -> float:
    started = time.perf_counter()
    run("-c", PEER, core)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
