#!/usr/bin/env python
"""Labelled images -> a dataset folder: shards of TFRecords, manifest.json, TFDS metadata.

scripts/build_tfrecords.py SOURCE --out DIR
"""

import os
import sys
import time
from collections.abc import Sequence

from base.command import run
from base.native_log import captured
from base.options import parse
from pipelines.conversion_report import describe, progress_bar
from pipelines.convert_options import ConvertOptions
from pipelines.destination import check_destination
from pipelines.plan import plan_splits
from pipelines.source_options import SourceOptions
from pipelines.sources.open import open_source


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command, and returns its exit code."""
    return run(_build, argv)


def _build(argv: Sequence[str] | None) -> None:
    start = time.monotonic()
    description = "Turns labelled images into TFRecords, divided into splits and shuffled."
    groups = {"source and splits": SourceOptions, "conversion": ConvertOptions}
    chosen, options = parse("build_tfrecords.py", description, groups, argv, ("source",)).values()
    finished = check_destination(options, chosen)
    if finished is not None:
        print(f"already there: {options.out_path}, made by this same command", describe(finished), sep="\n")
        return

    source = open_source(chosen)
    plan = plan_splits(source, chosen)
    found = f"{chosen.source}: {len(source.ids):,} images of {len(source.classes)} classes"
    print(found, *plan.notes, sep="\n  ", flush=True)

    with captured(), progress_bar(len(source.ids), shown=not options.quiet) as progress:
        from pipelines.convert import convert  # brings TensorFlow, which takes seconds: refusals come before it

        manifest = convert(source, plan.splits, options, chosen.made_by(), progress=progress)
    print(describe(manifest))
    converted = sum(split.examples for split in manifest.splits.values())
    seconds = time.monotonic() - start
    print(f"{len(source.ids):,} images found, {converted:,} converted in {seconds:.1f} s: {options.out_path}")


if __name__ == "__main__":
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # decoding is the CPU's work: leave the accelerators' memory alone
    sys.exit(main())
