"""Training on real data against training on constant batches: what input costs, by recipe.

    python benchmarks/synthetic.py --data DIR --config recipes/digits.yaml [--repeats 7] [--seconds 5] [OPTION ...]

Takes train.py's options. The same compiled step takes batches of the training split and of `--synthetic` in turns, and
each ratio is of neighbours in time. On a machine that others use, too, the rates by CPU time are the steadier ones.
"""

import argparse
import os
import statistics
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from base.options import parse
from pipelines.manifest import read_manifest
from scripts.train import GROUPS


def main() -> None:
    """Runs the comparison and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], add_help=False)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=5.0)
    own, rest = parser.parse_known_args()
    options = parse("synthetic.py", __doc__.partition("\n")[0], GROUPS, [*rest, "--run", os.devnull])
    folder = Path(options["run"].data)

    from models.training.trainer import Trainer
    from scripts import assembly, feeds

    manifest = read_manifest(folder)
    setting = assembly.setting_of(options, manifest)
    how = (setting.spec, setting.parts, options["reading"], setting.policy, setting.seed)
    data = feeds.Data(folder, manifest, *how)
    augmentation = assembly.build_augmentation(setting, cropped=data.cropped)
    on_host, in_step = (augmentation, None) if setting.on_host else (None, augmentation)
    real = data.training("train")
    real = feeds.augmented_on_host(real, on_host) if on_host else real
    shape = data.training_frames.shape
    constant = feeds.synthetic_feed(manifest, shape, setting.parts, setting.seed, augmentation=on_host)
    model = assembly.build_model(setting, assembly.standardisation_of(setting, data))
    trainer = Trainer(model, setting.head, setting.hardware, augment=in_step)
    watches = {"real data": trainer.stopwatch(real), "--synthetic": trainer.stopwatch(constant)}
    for watch in watches.values():
        watch(own.seconds)
    timings = {name: [] for name in watches}
    for _ in range(own.repeats):
        for name, watch in watches.items():
            timings[name].append(watch(own.seconds))

    rates = {name: [t.images_per_second for t in seen] for name, seen in timings.items()}
    by_cpu = {name: [t.images / t.cpu for t in seen] for name, seen in timings.items()}
    print("; ".join(f"{title}: {text}" for title, text in {**setting.hardware.describe(), **data.describe()}.items()))
    for unit, seen in (("images/s", rates), ("images a CPU second", by_cpu)):
        ratios = [a / b for a, b in zip(*seen.values(), strict=True)]
        medians = ", ".join(f"{name} {statistics.median(values):,.0f}" for name, values in seen.items())
        print(f"{unit}: {medians}; ratio {statistics.median(ratios):.2f} (median; {min(ratios):.2f}-{max(ratios):.2f})")


if __name__ == "__main__":
    main()
