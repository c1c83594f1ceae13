#!/usr/bin/env python
"""Says what binds a training's speed, and what to change: `scripts/doctor.py --data DIR [--config RECIPE]`."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from base import command, files, native_log
from base.errors import InputError, require
from base.options import option, parse, to_dict
from base.recipes import to_yaml
from pipelines.doctor.tuning import candidates, starting_at, tune
from pipelines.doctor.verdict import Gain, diagnose
from pipelines.manifest import Manifest, read_manifest
from pipelines.reading.options import ReaderOptions
from scripts.training.options import recipe_groups


@dataclasses.dataclass(frozen=True, kw_only=True)
class DoctorOptions:
    """What is examined, and for how long."""

    data: str = option(help="a dataset folder, made by build_tfrecords.py")
    seconds: float = option(
        30.0, "of measuring, about; loading TensorFlow, compiling and the start of a resident reader come on top"
    )
    sample: int = option(256, "images that the single stages are measured on")
    apply: str | None = option(
        None, "find thread counts, prefetch and interleave by measuring, and write them to this file, a recipe"
    )
    only_training: bool = option(False, "only the short training; prints a line of JSON")

    def __post_init__(self) -> None:
        require(0.1 <= self.seconds <= 3600, "Expected --seconds from 0.1 to 3600", seconds=self.seconds)
        require(1 <= self.sample <= 100_000, "Expected --sample from 1 to 100000", sample=self.sample)
        require(self.apply is None or bool(self.apply), "Expected --apply to name a file", apply=self.apply)


GROUPS = {"doctor": DoctorOptions, **recipe_groups(DoctorOptions)}
DESCRIPTION = (
    "Measures what each stage of a training costs (read, parse, decode, resize, batch, copy, augmentation, step), and "
    "what really happens in a short training; names the stage that binds, and a remedy with its measured gain."
)

ROUNDS = 3  # of --apply: measurements of each candidate


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return command.run(_main, argv)


def _main(argv: Sequence[str] | None) -> None:
    argv = list(sys.argv[1:] if argv is None else argv)
    options = parse("doctor.py", DESCRIPTION, GROUPS, argv)
    asked: DoctorOptions = options["doctor"]
    manifest = read_manifest(Path(asked.data))
    manifest.split("train", Path(asked.data))
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 160)
    if asked.apply is not None and not asked.only_training:
        _apply(argv, options, len(manifest.splits["train"].shards), console)
        return
    with native_log.captured():
        _examine(options, manifest, console)


def _examine(options: dict[str, Any], manifest: Manifest, console: Console) -> None:
    # TensorFlow takes seconds to import, and what could be refused without it has been.
    from pipelines.doctor.table import stage_table
    from scripts.training.examination import Examination

    asked: DoctorOptions = options["doctor"]
    load = os.getloadavg()[0]
    examination = Examination(options, manifest, Path(asked.data), seconds=asked.seconds, images=asked.sample)
    if asked.only_training:
        print(json.dumps(dataclasses.asdict(examination.training()[0])))
        return
    sample, machine = examination.sample, examination.machine
    split = manifest.splits["train"]
    each = sample.bytes // sample.images
    cut = "; trained on the first shards only, to start in time" if examination.cut else ""
    # Others on the machine make all figures worse, and not alike.
    busy = f"; the machine was busy (load {load:.1f}): measure again when it is idle" if load > machine.cores else ""
    about = {
        "dataset": f"{split.examples:,} images in train, {manifest.encoding}, {each:,} bytes each{cut}",
        **examination.hardware.describe(),
        **examination.data.describe(),
        "measured": f"{sample.images} images, {asked.seconds:g} s, {machine.cores} cores" + busy,
    }
    for title, text in about.items():
        console.print(f"{title:>12}  {text}", soft_wrap=True)
    with examination.data.reading():
        training, constant = examination.training()
        stages = examination.stages(constant)
        remedies = list(examination.remedies(stages))
    verdict = diagnose(stages, training, machine, remedies, examination.start)
    console.print()
    console.print(stage_table(stages, machine, verdict.stage))
    console.print()
    seen = {
        "training": f"{training.images_per_second:,.0f} images/s, waiting {training.waiting:.0%}",
        "the ceiling": f"{training.ceiling:,.0f} images/s, on constant batches, waiting {training.idle:.0%}",
        **{f"tried {place}": _tried(gain) for place, gain in enumerate(verdict.gains, start=1)},
        "verdict": verdict.sentence,
    }
    for title, text in seen.items():
        console.print(f"{title:>12}  {text}", soft_wrap=True)


def _tried(gain: Gain) -> str:
    start = "" if gain.start == 1 else f", the start {gain.start:.1f} times sooner"
    return f"{gain.do}: training {gain.training:.1f} times as fast{start}"


def _apply(argv: Sequence[str], options: dict[str, Any], shards: int, console: Console) -> None:
    """Writes the settings that were fastest in short trainings, each in a process of its own.

    TensorFlow's threads can't be changed once it runs.
    """
    path = Path(options["doctor"].apply)
    require(path.parent.is_dir(), "Expected --apply to name a file in a folder that is there", apply=str(path))
    require(not path.is_dir(), "Expected --apply to name a file", apply=str(path))
    files.require_writable(path.parent, "apply")
    seconds = options["doctor"].seconds / 3
    values = starting_at(candidates(ReaderOptions().threads, shards), to_dict(*options.values()))

    def measure(chosen: dict[str, Any]) -> float:
        rate = _rate_of(argv, chosen, seconds)
        said = " ".join(f"{name}={value}" for name, value in chosen.items())
        console.print(f"{rate:>10,.0f} images/s  {said}", soft_wrap=True)
        return rate

    count = ROUNDS * sum(len(tried) for tried in values.values() if len(tried) > 1)
    console.print(f"{count} short trainings, each in a process of its own")
    tuned = tune(values, measure, ROUNDS)
    lines = [
        f"# Found by scripts/doctor.py --data {options['doctor'].data} --apply, images/s:",
        *(
            f"#   {name}: " + ", ".join(f"{value} {rate:,.0f}" for value, rate in seen.items())
            for name, seen in tuned.best.items()
        ),
    ]
    files.write_text(path, "\n".join(lines) + "\n" + to_yaml(tuned.chosen))
    console.print(f"{path}: " + ", ".join(f"{name} {value}" for name, value in tuned.chosen.items()), soft_wrap=True)


def _rate_of(argv: Sequence[str], chosen: dict[str, Any], seconds: float) -> float:
    """Images/s of a short training in a process of its own; the options chosen win over those of `argv`."""
    extra = [f"--{name.replace('_', '-')}={value}" for name, value in chosen.items()]
    line = [sys.executable, __file__, *argv, *extra, f"--seconds={seconds}", "--only-training"]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode == command.BAD_INPUT:
        raise InputError(done.stderr.strip().removeprefix("error: "))
    done.check_returncode()
    return json.loads(done.stdout.splitlines()[-1])["images_per_second"]


if __name__ == "__main__":
    sys.exit(main())
