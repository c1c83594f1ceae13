"""Whether a model is right as often as it says. Pure."""

from typing import Any

import numpy as np

BINS = 15  # of Guo et al.


def reliability(scores: np.ndarray, label: np.ndarray, bins: int = BINS) -> list[dict[str, Any]]:
    """The reliability diagram: examples in bins of equal width by their prediction's probability.

    Args:
        scores: float `[N, K]`, probabilities.
        label: int `[N]`.
        bins: How many, over 0 to 1; the upper edge belongs to a bin, the lower does not.

    Returns:
        For each bin `low`, `high`, `examples`, `confidence` (mean probability of the prediction) and `accuracy`; these
        two are None in an empty bin.
    """
    confidence = scores.max(axis=1).astype(np.float64)
    right = scores.argmax(axis=1) == label
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    counts, sums, hits = (np.bincount(place, weights, bins) for weights in (None, confidence, right))
    return [
        {
            "low": i / bins,
            "high": (i + 1) / bins,
            "examples": int(counts[i]),
            "confidence": float(sums[i] / counts[i]) if counts[i] else None,
            "accuracy": float(hits[i] / counts[i]) if counts[i] else None,
        }
        for i in range(bins)
    ]


def calibration_errors(diagram: list[dict[str, Any]]) -> dict[str, float]:
    """`ece`, the mean distance of accuracy and confidence over examples, and `mce`, the greatest over bins.

    Guo et al.: On Calibration of Modern Neural Networks (2017), https://arxiv.org/abs/1706.04599. No interval is given
    with them: a resample is less calibrated than the sample, so that its percentiles lie beside the value.
    """
    filled = [row for row in diagram if row["examples"]]
    gaps = np.array([abs(row["accuracy"] - row["confidence"]) for row in filled])
    counts = np.array([row["examples"] for row in filled])
    return {"ece": float(gaps @ counts / counts.sum()), "mce": float(gaps.max())}
