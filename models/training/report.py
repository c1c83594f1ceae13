"""`report.html` of a run: its curves, what they say, its options and environment; one page that needs nothing else."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from base import picture
from base.files import write_text
from base.page import render
from base.recipes import read_yaml
from models.training.diagnosis import Finding, diagnose, over_fits_from
from models.training.run_directory import RunDirectory

_TEMPLATE = Path(__file__).parent / "report.html.jinja"
# Title of each picture, its curves (name in the logs -> what it is called), and whether its axis is logarithmic.
_PICTURES = (
    ("Loss", {"loss": "training", "val_loss": "validation"}, False),
    ("Accuracy", {"accuracy": "training", "val_accuracy": "validation"}, False),
    ("Learning rate", {"learning_rate": "learning rate"}, True),
    ("Images a second", {"images_per_second": "images/s"}, False),
    ("Share of the time spent waiting for input", {"waiting": "waiting"}, False),
)


def write_report(run: RunDirectory) -> list[Finding]:
    """Writes the page from what stands in the run's folder; returns what is to be said of the curves."""
    rows = [json.loads(line) for line in run.metrics.read_text(encoding="utf-8").splitlines()]
    environment = json.loads(run.environment.read_text(encoding="utf-8"))
    evaluation = json.loads(run.evaluation.read_text(encoding="utf-8")) if run.evaluation.is_file() else None
    best = best_epoch(rows)
    marks = {"best": best, "over-fitting": over_fits_from(rows)}
    findings = diagnose(rows, len(environment["classes"]))
    page = render(
        _TEMPLATE,
        name=run.path.name,
        rows=rows,
        best=best,
        findings=findings,
        pictures={title: picture for title, picture in _pictures(rows, marks) if picture},
        evaluation=evaluation,
        options=read_yaml(run.config),
        environment=environment,
    )
    write_text(run.report, page)
    return findings


def best_epoch(rows: Sequence[Mapping[str, Any]]) -> int | None:
    """The epoch of the lowest validation loss, counted from 1; None without validation."""
    judged = [row for row in rows if row.get("val_loss") is not None]
    return min(judged, key=lambda row: row["val_loss"])["epoch"] if judged else None


def _pictures(rows: Sequence[Mapping[str, Any]], marks: Mapping[str, int | None]) -> list[tuple[str, str | None]]:
    return [(title, _picture(rows, curves, marks, logarithmic)) for title, curves, logarithmic in _PICTURES]


def _picture(
    rows: Sequence[Mapping[str, Any]], curves: Mapping[str, str], marks: Mapping[str, int | None], logarithmic: bool
) -> str | None:
    """A picture as a data URI; None where there is nothing to draw."""
    from matplotlib.ticker import MaxNLocator

    drawn = {
        label: points
        for name, label in curves.items()
        if (points := [(row["epoch"], row[name]) for row in rows if row.get(name) is not None])
    }
    if not drawn:
        return None
    axes = picture.axes(xlabel="epoch")
    for label, points in drawn.items():
        axes.plot(*zip(*points, strict=True), label=label, marker="." if len(points) < 30 else None)
    for label, epoch in marks.items():
        if epoch is not None and len(drawn) > 1:
            axes.axvline(epoch, linestyle="--" if label == "best" else ":", color=picture.GREY, label=label)
    if logarithmic and all(value > 0 for points in drawn.values() for _, value in points):
        axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(drawn) > 1:
        picture.legend(axes)
    return picture.svg_uri(axes.figure)
