"""The story of an evaluation: a run is judged on a split, compared, looked into, and written down."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from base import files
from base.errors import require
from models.evaluation import metrics, pictures
from models.evaluation.bootstrap import Samples, resample
from models.evaluation.grad_cam import heat_maps
from models.evaluation.majority import against_majority
from models.evaluation.page import evaluation_page
from models.evaluation.paired import differences, mcnemar
from models.evaluation.report import full_report, worst_mistakes
from models.training.hardware import prepare
from models.training.options import HardwareOptions
from pipelines.manifest import Manifest
from scripts.judging import views
from scripts.judging.evaluate_options import EvaluateOptions, Outputs
from scripts.judging.judge import Judge, Results
from scripts.judging.judged_run import JudgedRun

FORMAT, VERSION = "millrace-evaluation", 1
_EXPLAINED_AT_ONCE = 8  # images of a gradient


def evaluate(
    asked: EvaluateOptions,
    run: JudgedRun,
    others: Sequence[JudgedRun],
    folder: Path,
    manifest: Manifest,
    outputs: Outputs,
) -> dict[str, Any]:
    """Judges, and writes all that is asked for.

    Args:
        asked: The options.
        run: The run that is judged.
        others: Those that it is compared with.
        folder: Of the data set, whose classes are theirs.
        manifest: Its manifest.
        outputs: Where to.

    Returns:
        The content of `evaluation-SPLIT.json`.
    """
    hardware = prepare(HardwareOptions())

    def judge_of(which: JudgedRun) -> Judge:
        return Judge(which, folder, manifest, asked.split, hardware, asked.batch_size)

    judge = judge_of(run)
    seen = judge.as_they_are()
    samples = _samples(judge, seen, asked)
    report: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "run": _named(run),
        "data": {"path": str(folder), "fingerprint": manifest.fingerprint},
        "split": asked.split,
        "classes": list(manifest.classes),
        "warnings": list(manifest.warnings),
        "bootstrap": {"resamples": asked.resamples, "level": asked.level, "seed": asked.seed},
        **full_report(*_columns(seen), manifest.classes, samples, probable=judge.run.is_probable, level=asked.level),
        "tta": _averaged(judge, seen, asked.tta) if asked.tta else None,
        "robustness": views.robustness(judge, seen) if asked.robustness else None,
    }
    how = {"probable": run.is_probable, "level": asked.level, "seed": asked.seed}
    report["majority"] = against_majority(report["metrics"], samples[0], seen["label"], manifest.classes, **how)
    report["against"] = [_compared(judge_of(other), report, seen, samples[0], asked) for other in others]
    places = worst_mistakes(*_columns(seen), asked.worst)
    images = judge.images(seen["index"][places]) if len(places) else np.zeros((0, *run.spec.shape), np.uint8)
    report["worst_mistakes"] = _mistakes(judge, seen, places)
    heat = _heat_maps(judge, images, seen["scores"][places].argmax(axis=1)) if asked.grad_cam else None
    report["grad_cam"] = heat and heat[1]
    _write(outputs, report, judge, seen, images, heat and heat[0])
    return report


def _columns(seen: Results) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return seen["scores"], seen["label"], seen["loss"]


def _named(run: JudgedRun) -> dict[str, str]:
    return {"name": run.name, "path": str(run.directory.path)}


def _samples(judge: Judge, seen: Results, asked: EvaluateOptions) -> tuple[Samples, Samples]:
    return resample(*_columns(seen), probable=judge.run.is_probable, resamples=asked.resamples, seed=asked.seed)


def _averaged(judge: Judge, seen: Results, tta: str) -> dict[str, Any]:
    """The metrics with test-time augmentation; the loss is that of one view, and left out."""
    scores, count = views.averaged_scores(judge, seen, tta)
    overall = metrics.overall(scores, seen["label"], seen["loss"], probable=judge.run.is_probable)
    del overall["loss"]
    return {"of": tta, "views": count, "metrics": overall}


def _compared(
    other: Judge, report: Mapping[str, Any], seen: Results, samples: Samples, asked: EvaluateOptions
) -> dict[str, Any]:
    """The paired tests against another run."""
    others = other.as_they_are()
    alike = np.array_equal(seen["index"], others["index"]) and np.array_equal(seen["label"], others["label"])
    require(alike, f"Expected the same examples for {other.run.directory.path}")
    overall = metrics.overall(*_columns(others), probable=other.run.is_probable)
    right, other_right = (one["scores"].argmax(axis=1) == one["label"] for one in (seen, others))
    return {
        "run": _named(other.run),
        "metrics": overall,
        "mcnemar": mcnemar(right, other_right),
        "differences": differences(report["metrics"], overall, samples, _samples(other, others, asked)[0], asked.level),
    }


def _mistakes(judge: Judge, seen: Results, places: np.ndarray) -> list[dict[str, Any]]:
    """The examples at these places of the results, for people to look at."""
    ids = judge.ids(seen["index"][places]) if len(places) else []
    classes = judge.run.classes
    return [
        {
            "id": name,
            "index": int(seen["index"][place]),
            "label": classes[seen["label"][place]],
            "prediction": classes[scores.argmax()],
            "score": float(scores.max()),
            "score_of_label": float(scores[seen["label"][place]]),
            "loss": metrics.finite(seen["loss"][place]),
        }
        for name, place in zip(ids, places, strict=True)
        for scores in [seen["scores"][place]]
    ]


def _heat_maps(judge: Judge, images: np.ndarray, of: np.ndarray) -> tuple[np.ndarray, str] | None:
    """Grad-CAM of each image's class: `[n, H, W]`, and the name of its layer; None where there is nothing to show."""
    parts = [
        heat_maps(
            judge.model, judge.run.head, images[start : start + _EXPLAINED_AT_ONCE], of[start:][:_EXPLAINED_AT_ONCE]
        )
        for start in range(0, len(images), _EXPLAINED_AT_ONCE)
    ]
    if not parts or None in parts:
        return None
    return np.concatenate([maps for maps, _ in parts]), parts[0][1]


def _write(
    outputs: Outputs,
    report: Mapping[str, Any],
    judge: Judge,
    seen: Results,
    images: np.ndarray,
    heat: np.ndarray | None,
) -> None:
    curves = pictures.rank_curves(seen["scores"], seen["label"], report["classes"])
    if report["calibration"]:
        curves["Reliability"] = pictures.reliability_picture(report["calibration"]["bins"])
    if report["robustness"]:
        curves |= pictures.robustness_pictures(report["robustness"])
    mistakes = report["worst_mistakes"]
    shown = [
        {
            **mistake,
            "picture": pictures.thumbnail(images[place]),
            "heat": None if heat is None else pictures.thumbnail(images[place], heat[place]),
        }
        for place, mistake in enumerate(mistakes)
    ]
    page = evaluation_page(report, curves, shown)
    outputs.json.parent.mkdir(parents=True, exist_ok=True)
    if outputs.predictions:
        _write_predictions(outputs.predictions, judge, seen)
    outputs.mistakes.unlink(missing_ok=True)
    if mistakes:
        title = f"{report['run']['name']} on {report['split']}: the worst of {report['examples']:,}"
        pictures.write_mistakes(outputs.mistakes, mistakes, images, title)
    files.write_text(outputs.html, page)
    files.write_json(outputs.json, report)


def _write_predictions(path: Path, judge: Judge, seen: Results) -> None:
    """A row an example, in the split's order."""
    classes = judge.run.classes
    with files.whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "label", "prediction", *(f"score:{name}" for name in classes)])
        for name, label, scores in zip(judge.ids(seen["index"]), seen["label"], seen["scores"], strict=True):
            writer.writerow([name, classes[label], classes[scores.argmax()], *map(str, scores)])
