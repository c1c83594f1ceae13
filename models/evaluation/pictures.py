"""The pictures of an evaluation: curves as data URIs, examples as thumbnails."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.metrics import precision_recall_curve, roc_curve

from base import files, picture
from base.page import data_uri

MOST_CURVES = 10  # classes that can be told apart in one picture
_POINTS = 200  # of a curve
_SIDE = 112  # of a thumbnail, as the page shows it
_SMALL = 64  # up to here a PNG is not much larger than a JPEG, and shows the pixels as they are
_COLUMNS, _INCHES, _LETTERS = 6, 2.0, 30  # of the picture of mistakes


def rank_curves(scores: np.ndarray, label: np.ndarray, classes: Sequence[str]) -> dict[str, str]:
    """Title -> the ROC and precision-recall curves of each class; empty where there are too many or none has both.

    Args:
        scores: float `[N, K]`.
        label: int `[N]`.
        classes: K names.
    """
    shown = [place for place in range(len(classes)) if 0 < (label == place).sum() < len(label)]
    if not shown or len(shown) > MOST_CURVES:
        return {}
    roc = picture.axes(4, 3.6, xlabel="false positive rate", ylabel="true positive rate")
    roc.plot([0, 1], [0, 1], ":", color=picture.GREY)
    pr = picture.axes(4, 3.6, xlabel="recall", ylabel="precision", ylim=(-0.03, 1.03))
    for place in shown:
        false, true, _ = roc_curve(label == place, scores[:, place])
        roc.plot(*_thinned(false, true), label=f" {classes[place]}")  # after a "_" it would go unnamed
        precision, recall, _ = precision_recall_curve(label == place, scores[:, place])
        # Recall falls along the curve, and each precision holds down to the next one: as average precision counts it.
        pr.plot(*_thinned(recall, precision), label=f" {classes[place]}", drawstyle="steps-post")
    picture.legend(roc)
    return {"ROC": picture.svg_uri(roc.figure), "Precision and recall": picture.svg_uri(pr.figure)}


def reliability_picture(bins: Sequence[Mapping[str, Any]]) -> str:
    """The reliability diagram; `bins`: of `calibration.reliability`."""
    axes = picture.axes(4, 3.6, xlabel="probability of the prediction", ylabel="share that is right")
    axes.plot([0, 1], [0, 1], ":", color=picture.GREY)
    filled = [row for row in bins if row["examples"]]
    total = sum(row["examples"] for row in filled)
    middle, width = [(row["low"] + row["high"]) / 2 for row in filled], bins[0]["high"] - bins[0]["low"]
    axes.bar(middle, [row["examples"] / total for row in filled], width, alpha=0.25, label="share of the examples")
    axes.plot([row["confidence"] for row in filled], [row["accuracy"] for row in filled], marker=".", label="accuracy")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.03)
    picture.legend(axes)
    return picture.svg_uri(axes.figure)


def robustness_pictures(seen: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, str]:
    """Title -> accuracy by degree, and by share; `seen`: rows of `degrees` or `share`, and `accuracy`."""
    found = {}
    for title, kind, name, label in (
        ("Turned", "rotation", "degrees", "degrees, either way"),
        ("Shifted", "shift", "share", "share of the width or height"),
    ):
        axes = picture.axes(4, 2.9, xlabel=label, ylabel="accuracy", ylim=(0, 1.03))
        axes.plot([row[name] for row in seen[kind]], [row["accuracy"] for row in seen[kind]], marker=".")
        found[title] = picture.svg_uri(axes.figure)
    return found


def thumbnail(image: np.ndarray, heat: np.ndarray | None = None) -> str:
    """An image as a data URI; small ones are enlarged, their pixels staying squares.

    Args:
        image: uint8 `[H, W, 1 | 3]`.
        heat: float `[H, W]`, 0 to 1, laid over it.
    """
    shown = Image.fromarray(np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image)
    if heat is not None:
        shown = Image.blend(shown, Image.fromarray(_coloured(heat)), 0.45)
    content = io.BytesIO()
    if max(shown.size) <= _SMALL:
        factor = -(-_SIDE // max(shown.size))
        shown = shown.resize((shown.width * factor, shown.height * factor), Image.Resampling.NEAREST)
        shown.save(content, "PNG", optimize=True)
        return data_uri(content.getvalue(), "image/png")
    shown.thumbnail((2 * _SIDE, 2 * _SIDE))
    shown.save(content, "JPEG", quality=80)
    return data_uri(content.getvalue(), "image/jpeg")


def write_mistakes(path: Path, mistakes: Sequence[Mapping[str, Any]], images: np.ndarray, title: str) -> None:
    """Mistakes in rows, each with its id, its class and what it was taken for, as a .png file.

    Args:
        path: Replaced when it exists.
        mistakes: With `id`, `label`, `prediction` and `score`, at least one.
        images: uint8 `[n, H, W, 1 | 3]`.
        title: Above them.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(len(mistakes), _COLUMNS)
    rows = -(-len(mistakes) // columns)
    figure = Figure((max(columns * _INCHES, 4), rows * (_INCHES + 0.5) + 0.4), layout="constrained")
    figure.suptitle(title, fontsize=9, parse_math=False)  # wrapped, it would be parsed all the same
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, mistake, image in zip(axes.flat, mistakes, images, strict=False):
        axis.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        said = f"{_short(mistake['label'])}, taken for\n{_short(mistake['prediction'])} ({mistake['score']:.3g})"
        axis.set_title(f"{_short(mistake['id'], last=True)}\n{said}", fontsize=7, parse_math=False)
    with files.whole_file(path, suffix=".png") as temporary:
        FigureCanvasAgg(figure).print_png(temporary, metadata={"Software": None})


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most so many of a curve's points, both ends among them."""
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), _POINTS)).round().astype(int))
    return x[kept], y[kept]


def _coloured(heat: np.ndarray) -> np.ndarray:
    from matplotlib import colormaps

    return (colormaps["jet"](heat)[..., :3] * 255).astype(np.uint8)


def _short(text: str, *, last: bool = False) -> str:
    if len(text) <= _LETTERS:
        return text
    return f"…{text[1 - _LETTERS :]}" if last else f"{text[: _LETTERS - 1]}…"
