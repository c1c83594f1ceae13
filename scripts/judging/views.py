"""Several views of each image: averaged, for a better prediction, or one by one, to see what a model bears."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.augment.geometry import rotation, scaling, translation
from scripts.judging.judge import Batch, Judge, Results

DEGREES = (5, 10, 20, 30, 45, 90, 180)
SHARES = (0.05, 0.1, 0.2, 0.3)
FLIPS = {"flip": ((-1, 1),), "flips": ((-1, 1), (1, -1), (-1, -1))}  # (x, y), beside the image as it is


def averaged_scores(judge: Judge, plain: Results, views: str) -> tuple[np.ndarray, int]:
    """Test-time augmentation: the mean of the scores of several views, the image as it is among them.

    Args:
        judge: Of the model and the split.
        plain: What it gives for the images as they are.
        views: `flip` (mirrored left to right), `flips` (also top to bottom, and both), or a number of draws of the
            run's augmentation.

    Returns:
        float32 `[N, K]`, and how many views there are.
    """
    others = list(_other_views(judge, views))
    return np.mean([plain["scores"], *others], axis=0), 1 + len(others)


def _other_views(judge: Judge, views: str) -> Iterator[np.ndarray]:
    for x, y in FLIPS.get(views, ()):
        yield judge.moved(mirrored(x, y))["scores"]
    for draw in range(int(views) if views not in FLIPS else 0):
        yield judge.augmented(draw)["scores"]


def robustness(judge: Judge, plain: Results) -> dict[str, list[dict[str, Any]]]:
    """Accuracy of images turned and shifted by ever more.

    Examples take turns: every second one is turned clockwise, the others counterclockwise, and a quarter each is
    shifted to the right, to the left, down and up.

    Returns:
        `rotation`: rows of `degrees` and `accuracy`; `shift`: rows of `share` (of width or height) and `accuracy`.
    """
    unmoved, side = _accuracy(plain), judge.run.spec.image_size
    by_degrees = {degrees: _accuracy(judge.moved(turned(degrees))) for degrees in DEGREES}
    by_share = {share: _accuracy(judge.moved(shifted(share * side))) for share in SHARES}
    return {
        "rotation": [{"degrees": n, "accuracy": accuracy} for n, accuracy in {0: unmoved, **by_degrees}.items()],
        "shift": [{"share": n, "accuracy": accuracy} for n, accuracy in {0.0: unmoved, **by_share}.items()],
    }


Matrices = Callable[[Batch], tf.Tensor]  # of a batch: float32 [B, 2, 3], see `pipelines.augment.geometry`


def mirrored(x: float, y: float) -> Matrices:
    """Left to right where `x` is -1, top to bottom where `y` is -1."""

    def matrix(batch: Batch) -> tf.Tensor:
        ones = tf.ones_like(batch["weight"])
        return scaling(x * ones, y * ones)

    return matrix


def turned(degrees: float) -> Matrices:
    """Examples of even index clockwise, the others counterclockwise."""

    def matrix(batch: Batch) -> tf.Tensor:
        return rotation(tf.where(batch["index"] % 2 == 0, -1.0, 1.0) * (degrees * math.pi / 180))

    return matrix


def shifted(pixels: float) -> Matrices:
    """By the example's index, one after the other: to the right, to the left, down, up."""

    def matrix(batch: Batch) -> tf.Tensor:
        sides = tf.gather(tf.constant([[-1.0, 0], [1, 0], [0, -1], [0, 1]]), batch["index"] % 4) * pixels
        return translation(sides[:, 0], sides[:, 1])

    return matrix


def _accuracy(results: Results) -> float:
    return float((results["scores"].argmax(axis=1) == results["label"]).mean())
