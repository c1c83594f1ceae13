"""Trials an hour of `scripts/tune.py` against KerasTuner's own `search()`: the same grid of CNNs, turn by turn.

    python benchmarks/trials_per_hour.py --data data/fashion_mnist [--trials 8] [--epochs 20] [--repeats 3]
    python benchmarks/trials_per_hour.py --data data/fashion_mnist --trials 2 --epochs 1 --images 1000 --repeats 1

tune.py runs as many trials at a time as there are cores, one core each; KerasTuner searches in one process with all of
them (`benchmarks/keras_tuner_search.py`). The same images, batches, epochs, optimizer, networks; both judge by the
validation loss after each epoch, and keep the best weights of each trial. The time is that of the whole command, from
its start to the printed ranking. KerasTuner takes part twice: as users call it, and with oneDNN's kernels, which
Millrace turns on, so that the second ratio is of the searches alone. The ratio by CPU time says how much of it is less
work: on a machine that others use, too, it is the steadier one.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from commands import run
from fewer_images import fewer_images

SEARCHED = {"blocks": [2, 3], "filters": [16, 32], "dense_layers": [0, 1]}  # the last fastest, in both grids
FIXED = {"kernel_size": 3, "dense_units": 64, "optimizer": "adam", "learning_rate": 1e-3, "batch_size": 64}
OURS, PEERS = "millrace", ("KerasTuner", "KerasTuner, oneDNN")
TARGET = 1.4


def main() -> None:
    """Runs the searches in turns, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="Fashion-MNIST, or other images of one size")
    parser.add_argument("--images", type=int, default=10_000, help="for training; a fifth as many for validation")
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-norm", action="store_true")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer-input", choices=("arrays", "tf.data"), default="tf.data", help="what KerasTuner reads")
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    with tempfile.TemporaryDirectory() as scratch:
        settings = _settings(options, Path(scratch))
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in (OURS, *PEERS)}
        for turn in range(options.repeats):
            for name, pairs in taken.items():
                folder = Path(scratch, f"{name} {turn}")
                folder.mkdir()
                pairs.append(_timed(name, settings, folder))
                print(f"  {name:20} {pairs[-1][0]:7.1f} s, {pairs[-1][1]:7.1f} CPU s", file=sys.stderr, flush=True)
        _print_times(taken, options.trials)
        _print_trials(settings, {name: Path(scratch, f"{name} 0") for name in taken})


def _settings(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """What is searched, on what: of all contestants."""
    counts = {"train": options.images, "validation": options.images // 5, "test": 100}
    arrays, data = fewer_images(options.data, scratch / "images", counts)
    with np.load(arrays) as content:
        shape, classes = content["x_train"].shape[1:], int(content["y_train"].max()) + 1
    settings = {
        "searched": SEARCHED,
        "fixed": {**FIXED, "epochs": options.epochs, "batch_norm": options.batch_norm},
        "trials": options.trials,
        "cores": options.cores,
        "input": options.peer_input,
        "arrays": str(arrays),
        "data": str(data),
        "shape": shape,
        "classes": classes,
    }
    (scratch / "settings.json").write_text(json.dumps(settings))
    recipe = {**{name: {"choice": values} for name, values in SEARCHED.items()}, **settings["fixed"]}
    (scratch / "recipe.yaml").write_text(json.dumps(recipe))  # YAML, too
    said = ", ".join(f"{name} {value}" for name, value in settings["fixed"].items())
    print(f"Keras {keras.__version__}; {options.images:,} images of {shape}; {options.trials} trials; {said}")
    return settings


def _timed(name: str, settings: dict[str, Any], folder: Path) -> tuple[float, float]:
    """Seconds and CPU seconds of a contestant's whole search."""
    environment = {key: value for key, value in os.environ.items() if key != "TF_ENABLE_ONEDNN_OPTS"}
    if name == OURS:
        parallel = ["--algorithm", "grid", "--trials", str(settings["trials"]), "--parallel", str(settings["cores"])]
        places = ["--data", settings["data"], "--out", str(folder), "--config", str(folder.parent / "recipe.yaml")]
        command = ["scripts/tune.py", *places, *parallel]
    else:
        command = ["benchmarks/keras_tuner_search.py", str(folder.parent / "settings.json"), str(folder)]
        environment |= {"TF_ENABLE_ONEDNN_OPTS": "1"} if name.endswith("oneDNN") else {}
    started, before = time.perf_counter(), _children_seconds()
    run(*command, environment=environment)
    return time.perf_counter() - started, _children_seconds() - before


def _children_seconds() -> float:
    """CPU seconds of all processes that were started here and have ended, and of those that they started."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _print_times(taken: dict[str, list[tuple[float, float]]], trials: int) -> None:
    ours = taken[OURS]
    for name, pairs in taken.items():
        seconds, best = [pair[0] for pair in pairs], min(pair[0] for pair in ours)
        ratios, by_cpu = ([b[unit] / a[unit] for a, b in zip(ours, pairs, strict=True)] for unit in (0, 1))
        print(
            f"{name:20} {3600 * trials / statistics.median(seconds):6.1f} trials an hour median, "
            f"{3600 * trials / min(seconds):6.1f} best;  {OURS} is {statistics.median(ratios):.2f} times as fast "
            f"(median; {min(ratios):.2f} to {max(ratios):.2f}){f', target {TARGET}' if name in PEERS else ''}, "
            f"{min(seconds) / best:.2f} best to best, by CPU time {statistics.median(by_cpu):.2f}"
        )


def _print_trials(settings: dict[str, Any], folders: dict[str, Path]) -> None:
    """That the models are the same: a line for each combination."""
    found = {name: (_ours if name == OURS else _theirs)(folder) for name, folder in folders.items()}
    print(f"\n{', '.join(SEARCHED)}: parameters, val_loss and val_accuracy of", "; ".join(found))
    for values, (parameters, *_) in sorted(found[OURS].items()):
        if any(found[name].get(values, [None])[0] != parameters for name in PEERS):
            raise SystemExit(f"not the same models: {values}, {found}")
        scores = ["{1:.4f} {2:.4f}".format(*trials[values]) for trials in found.values()]
        print(f"{', '.join(map(str, values)):12} {parameters:8,}  {'; '.join(scores)}")
    if len({len(trials) for trials in found.values()} | {settings["trials"]}) > 1:
        raise SystemExit(f"not as many trials: {found}")


Trials = dict[tuple, tuple[int, float, float]]  # values -> parameters, val_loss, val_accuracy


def _ours(folder: Path) -> Trials:
    found = {}
    for entry in json.loads((folder / "ranking.json").read_text())["ranking"]:
        metrics = entry["executions"][0]["metrics"]
        model = keras.models.load_model(folder / "trials" / f"{entry['number']:02}" / "run/model.keras")
        values = tuple(entry["values"][name] for name in SEARCHED)
        found[values] = (model.count_params(), metrics["val_loss"], metrics["val_accuracy"])
    return found


def _theirs(folder: Path) -> Trials:
    results = json.loads((folder / "results.json").read_text())
    return {
        tuple(one["values"][name] for name in SEARCHED): (one["parameters"], one["val_loss"], one["val_accuracy"])
        for one in results
    }


if __name__ == "__main__":
    main()
