#!/usr/bin/env python
"""Labelled images -> a dataset folder: shards of TFRecords, manifest.json, health report, TFDS metadata.

scripts/build_tfrecords.py SOURCE --out DIR
scripts/build_tfrecords.py --verify DIR
"""

import os
import sys
import time
from collections.abc import Sequence

from base.command import Terminated, run
from base.native_log import captured
from base.options import parse
from pipelines.conversion.destination import check_destination, finished_dataset
from pipelines.conversion.options import ConvertOptions, RunOptions, VerifyOptions
from pipelines.conversion.plan import plan_splits
from pipelines.conversion.report import count, describe, name_problems, progress_bar
from pipelines.conversion.workplace import Workplace, claimed
from pipelines.sources.open import open_source
from pipelines.sources.options import SourceOptions

_NAME = "build_tfrecords.py"
_DESCRIPTION = "Turns labelled images into TFRecords, divided into splits and shuffled."


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command, and returns its exit code."""
    return run(_run, argv)


def _run(argv: Sequence[str] | None) -> None:
    argv = list(sys.argv[1:] if argv is None else argv)
    if any(argument.partition("=")[0] == "--verify" for argument in argv):
        _verify(argv)
        return
    groups = {"source and splits": SourceOptions, "conversion": ConvertOptions, "run": RunOptions}
    chosen, options, how, _ = parse(
        _NAME, _DESCRIPTION, {**groups, "verification": VerifyOptions}, argv, ("source",)
    ).values()
    check_destination(options.out_path, chosen.source_path)
    with claimed(options.out_path) as place:
        _build(place, chosen, options, how)


def _build(place: Workplace, chosen: SourceOptions, options: ConvertOptions, how: RunOptions) -> None:
    start = time.monotonic()
    made_by = {**chosen.made_by(), **options.made_by()}
    finished = finished_dataset(place.out, made_by, overwrite=options.overwrite)
    if finished is not None:
        print(f"already there: {place.out}, made by this same command", describe(finished), count(finished), sep="\n")
        return

    source = open_source(chosen)
    plan = plan_splits(source, chosen)
    found = f"{chosen.source}: {len(source.ids) + len(source.problems):,} images of {len(source.classes)} classes"
    print(found, *plan.notes, sep="\n  ", flush=True)

    total = sum(map(len, plan.splits.values()))
    try:
        with captured(), progress_bar(total, shown=not how.quiet) as progress:
            from pipelines.conversion.convert import (
                convert,  # brings TensorFlow, which takes seconds: refusals come before it
            )

            made = convert(place, source, plan, options, made_by, run=how, seed=chosen.seed, progress=progress)
    except (KeyboardInterrupt, Terminated):
        if place.folder.exists():
            print(f"what is finished stays in {place.folder}: the same command goes on from there", file=sys.stderr)
        raise
    print(describe(made.manifest), *made.health.summary(), *name_problems(made.problems), sep="\n")
    print(f"{count(made.manifest)} in {time.monotonic() - start:.1f} s: {place.out}")


def _verify(argv: list[str]) -> None:
    chosen, how = parse(_NAME, _DESCRIPTION, {"verification": VerifyOptions, "run": RunOptions}, argv).values()
    from pipelines.manifest import read_manifest

    manifest = read_manifest(chosen.verify_path)
    with captured(), progress_bar(manifest.examples, shown=not how.quiet, verb="verifying") as progress:
        from pipelines.conversion.verify import verify

        verify(chosen.verify_path, manifest, threads=how.threads, progress=progress)
    shards = sum(len(split.shards) for split in manifest.splits.values())
    print(f"{chosen.verify_path}: {shards} shards, {manifest.examples:,} records, every one whole")


if __name__ == "__main__":
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # decoding is the CPU's work: leave the accelerators' memory alone
    sys.exit(main())
