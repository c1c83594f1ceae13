#!/usr/bin/env python
"""Judges a finished run on a split: `scripts/evaluate.py RUN [--data DIR] [--split test] [--against RUN2 ...]`."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from base import command, native_log
from base.errors import require
from base.options import parse
from pipelines.manifest import read_manifest
from scripts.judging.evaluate_options import EvaluateOptions, Outputs
from scripts.judging.judged_run import open_run

DESCRIPTION = (
    "Judges a finished run on a split: metrics with bootstrap intervals, calibration, confusions, the worst mistakes; "
    "as JSON, and as one page of HTML."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return command.run(_main, argv)


def _main(argv: Sequence[str] | None) -> None:
    options = parse("evaluate.py", DESCRIPTION, {"evaluation": EvaluateOptions}, argv, ("run",))
    asked: EvaluateOptions = options["evaluation"]
    run, *others = (open_run(Path(path)) for path in (asked.run, *asked.against))
    folder = Path(asked.data or run.data)
    manifest = read_manifest(folder)
    split = manifest.split(asked.split, folder)
    require(split.examples > 0, f"Expected examples in split {asked.split!r} of {folder}", examples=0)
    for each in (run, *others):
        each.require_classes(manifest.classes, str(folder))
    require(
        asked.tta in (None, "flip", "flips") or run.policy is not None,
        f"Expected --tta flip or flips: {run.directory.path} was trained without augmentation",
        tta=asked.tta,
    )
    outputs = Outputs(asked, run.directory.path)
    outputs.require_new()
    with native_log.captured():
        # TensorFlow takes seconds to import, and what could be refused without it has been.
        from scripts.judging.evaluation import evaluate

        report = evaluate(asked, run, others, folder, manifest, outputs)
    for line in _lines(report):
        print(line)
    print(*(f"{what}: {path}" for what, path in outputs.written().items()), sep="\n")


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    """What is said of a report on the console."""
    from models.evaluation.page import TITLES

    for warning in report["warnings"]:
        yield f"warning: {warning}"
    yield f"{report['run']['name']} on {report['split']}: {report['examples']:,} examples"
    level = f"{100 * report['bootstrap']['level']:g} %"
    majority = report["majority"]
    always = f"always {majority['class']}"
    yield f"  {'':<39}{'':8}  {level:<16}  {always}"
    for name, title in TITLES.items():
        if name in report["metrics"]:
            interval, known = report["intervals"].get(name), majority["metrics"].get(name)
            within = f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else ""
            said = known and f"{known['value']:.4f}, {'beaten' if known['beaten'] else 'not beaten'}"
            yield f"  {title:<39}{_number(report['metrics'][name]):>8}  {within:<16}  {said or ''}".rstrip()
    if report["calibration"]:
        yield f"  {'calibration error (ECE)':<39}{_number(report['calibration']['ece']):>8}"
    if report["tta"]:
        averaged = report["tta"]["metrics"]["accuracy"]
        yield f"  {'accuracy, mean of ' + str(report['tta']['views']) + ' views':<39}{_number(averaged):>8}"
    for other in report["against"]:
        row, test = other["differences"]["accuracy"], other["mcnemar"]
        low, high = row["interval"]
        yield (
            f"  accuracy less that of {other['run']['name']}: {row['difference']:+.4f}  {low:+.4f} to {high:+.4f}; "
            f"McNemar p = {test['p']:.3g} ({test['only_this']} against {test['only_other']})"
        )
    for note in report["notes"]:
        yield f"  note: {note}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    sys.exit(main())
