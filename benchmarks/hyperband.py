"""Hyperband against random search, for as many epochs in all: what each finds, with several seeds.

    python benchmarks/hyperband.py --data data/fashion_mnist [--max-epochs 9] [--seeds 0 1 2] [option of tune.py ...]
    python benchmarks/hyperband.py --data data/fashion_mnist --images 500 --max-epochs 3 --blocks 1 --filters 8

For each seed `scripts/tune.py` searches by Hyperband, whose epochs are counted (of a rung that goes on from another's
checkpoint those that it adds), then by random search for as many: trials of `--max-epochs`, rounded up. With one seed
both draw the same combinations, of which Hyperband comes to more. The best of each is trained again from its
`best.yaml`, and judged on the test split, which no search has seen. Options that this command does not know are
tune.py's: they fix what is searched, or say how many trials run at a time.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from commands import run
from fewer_images import fewer_images

SEARCHED = {
    "blocks": {"choice": [1, 2, 3]},
    "filters": {"choice": [8, 16, 32]},
    "kernel_size": {"choice": [3, 5]},
    "dense_layers": {"choice": [0, 1]},
    "dense_units": {"choice": [32, 64, 128], "when": {"dense_layers": 1}},
    "batch_norm": {"boolean": True},
    "dropout": {"float": [0.0, 0.4]},
    "optimizer": {"choice": ["adam", "sgd"]},
    "learning_rate": [
        {"float": [1e-4, 1e-1], "log": True, "when": {"optimizer": "adam"}},
        {"float": [1e-3, 1.0], "log": True, "when": {"optimizer": "sgd"}},
    ],
    "batch_size": {"choice": [32, 64, 128]},
}
FOUND = ("val_accuracy", "test accuracy")


def main() -> None:
    """Searches, and prints what was found, with means and deviations."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="Fashion-MNIST, or other images of one size")
    parser.add_argument(
        "--images", type=int, default=10_000, help="for training, and for the test; a fifth to validate"
    )
    parser.add_argument("--max-epochs", type=int, default=9, help="of the last rung, and of every random trial")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    options, others = parser.parse_known_args()
    counts = {"train": options.images, "validation": options.images // 5, "test": options.images}
    found: dict[str, list[tuple[float, ...]]] = {"hyperband": [], "random": []}
    with tempfile.TemporaryDirectory() as scratch:
        _, data = fewer_images(options.data, Path(scratch, "images"), counts)
        recipe = Path(scratch, "recipe.yaml")
        recipe.write_text(json.dumps(SEARCHED))  # YAML, too
        for seed in options.seeds:
            common = ["--data", data, "--config", recipe, "--seed", seed, "--objective", "val_accuracy", *others]
            out = Path(scratch, f"hyperband {seed}")
            budget = ["--algorithm", "hyperband", "--max-epochs", options.max_epochs]
            found["hyperband"].append(_found(out, data, [*common, *budget], options.max_epochs))
            epochs = epochs_of(_trials(out), options.max_epochs)
            trials = -(-epochs // options.max_epochs)
            budget = ["--algorithm", "random", "--trials", trials, "--epochs", options.max_epochs]
            out = Path(scratch, f"random {seed}")
            found["random"].append(_found(out, data, [*common, *budget], options.max_epochs))
    _print(found)


def epochs_of(trials: list[dict[str, Any]], max_epochs: int) -> int:
    """How many epochs trials have trained: of one that went on from another, those that it added.

    Args:
        trials: As `ranking.json` has them.
        max_epochs: Of a trial of which the algorithm does not say it.
    """
    known = {trial["number"]: trial["epochs"] or max_epochs for trial in trials}
    return sum(known[trial["number"]] - known.get(trial["parent"], 0) for trial in trials if trial["executions"])


def _trials(out: Path) -> list[dict[str, Any]]:
    ranking = json.loads((out / "ranking.json").read_text())
    return ranking["ranking"] + ranking["failed"]


def _found(out: Path, data: Path, search: list[Any], max_epochs: int) -> tuple[float, ...]:
    """The best trial's validation accuracy, and the test accuracy of its recipe, trained again."""
    started = time.perf_counter()
    run("scripts/tune.py", "--out", out, *search)
    seconds, trials = time.perf_counter() - started, _trials(out)
    run("scripts/train.py", "--data", data, "--config", out / "best.yaml", "--run", out / "../best" / out.name)
    test = json.loads((out.parent / "best" / out.name / "evaluation.json").read_text())["accuracy"]
    best, failures = trials[0], sum(trial["score"] is None for trial in trials)
    epochs = f"{epochs_of(trials, max_epochs)} epochs in {seconds:.0f} s"
    print(
        f"{out.name}: {len(trials)} trials, {failures} of them failed, {epochs}; "
        f"best {best['label']}: val_accuracy {best['score']:.4f}, test accuracy {test:.4f} when trained again",
        flush=True,
    )
    return best["score"], test


def _print(found: dict[str, list[tuple[float, ...]]]) -> None:
    for place, name in enumerate(FOUND):
        columns = {algorithm: [pair[place] for pair in pairs] for algorithm, pairs in found.items()}
        for algorithm, values in columns.items():
            each = ", ".join(f"{value:.4f}" for value in values)
            print(f"{name:14} {algorithm:10} {statistics.fmean(values):.4f} ± {_deviation(values):.4f} ({each})")
        difference = statistics.fmean(columns["hyperband"]) - statistics.fmean(columns["random"])
        allowed = statistics.fmean(_deviation(values) ** 2 for values in columns.values()) ** 0.5
        verdict = "not worse by more than one" if difference >= -allowed else "worse by more than one"
        print(f"{name:14} hyperband - random {difference:+.4f}, standard deviation of both {allowed:.4f}: {verdict}")


def _deviation(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


if __name__ == "__main__":
    main()
