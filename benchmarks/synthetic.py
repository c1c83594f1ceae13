"""Training on real data against training on constant batches: what input costs, by recipe.

    python benchmarks/synthetic.py --data DIR --config recipes/digits.yaml [--repeats 7] [--seconds 5] [OPTION ...]

Takes train.py's options. The same compiled step takes batches of the training split and of `--synthetic` in turns, and
each ratio is of neighbours in time. On a machine that others use, too, the rates by CPU time are the steadier ones.
"""

import argparse
import dataclasses
import os
import statistics
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from base.options import parse
from pipelines.manifest import read_manifest
from scripts.training.options import GROUPS


def main() -> None:
    """Runs the comparison and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], add_help=False)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=5.0)
    own, rest = parser.parse_known_args()
    options = parse("synthetic.py", __doc__.partition("\n")[0], GROUPS, [*rest, "--run", os.devnull])
    folder = Path(options["run"].data)

    from models.training.hardware import prepare
    from scripts.training.phase import in_phase
    from scripts.training.training import training_of

    training = training_of(options, read_manifest(folder), prepare(options["hardware"]))
    constant = dataclasses.replace(training, setting=dataclasses.replace(training.setting, synthetic=True))
    last = training.phases[-1]
    feeds = {"real data": training.training_feed(last), "--synthetic": constant.training_feed(last)}
    trainer = in_phase(training, last.number).whole
    watches = {name: trainer.stopwatch(feed) for name, feed in feeds.items()}
    for watch in watches.values():
        watch(own.seconds)
    timings = {name: [] for name in watches}
    for _ in range(own.repeats):
        for name, watch in watches.items():
            timings[name].append(watch(own.seconds))

    rates = {name: [t.images_per_second for t in seen] for name, seen in timings.items()}
    by_cpu = {name: [t.images / t.cpu for t in seen] for name, seen in timings.items()}
    print("; ".join(f"{title}: {text}" for title, text in training.really_on().items()))
    for unit, seen in (("images/s", rates), ("images a CPU second", by_cpu)):
        ratios = [a / b for a, b in zip(*seen.values(), strict=True)]
        medians = ", ".join(f"{name} {statistics.median(values):,.0f}" for name, values in seen.items())
        print(f"{unit}: {medians}; ratio {statistics.median(ratios):.2f} (median; {min(ratios):.2f}-{max(ratios):.2f})")


if __name__ == "__main__":
    main()
