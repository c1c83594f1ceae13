"""Bootstrap: how far metrics would move with other examples of the same kind. Pure, seeded.

Efron: Bootstrap Methods: Another Look at the Jackknife (1979). Each resample draws N of the N examples, with
replacement. How often each one came is all that a metric needs of it: means are one matrix product, confusion counts
sparse ones, and rank metrics sums along an order that is sorted once.
"""

from collections.abc import Mapping

import numpy as np
from scipy.sparse import csr_matrix

from models.evaluation.metrics import example_columns

_AT_ONCE = 400_000  # counts held at a time: 3 MB stay near the processor; 1.0 s for N 10,000, K 10, R 1,000
_RANKED_MOST = 3 * 10**9  # examples x resamples x classes up to which rank metrics are computed: half a minute

Samples = dict[str, np.ndarray]


def resample(
    scores: np.ndarray, label: np.ndarray, loss: np.ndarray, *, probable: bool, resamples: int, seed: int
) -> tuple[Samples, Samples]:
    """The metrics of `metrics.overall` and `metrics.per_class` on each resample.

    Two models judged on the same examples with the same seed have the same resamples, so that differences pair.

    Args:
        scores: float `[N, K]`.
        label: int `[N]`.
        loss: float `[N]`.
        probable: Whether scores are probabilities.
        resamples: R.
        seed: Of the draws.

    Returns:
        name -> `[R]`, and name -> `[R, K]`; NaN where a resample has no examples for it. Rank metrics are left out
        where they would take too long.
    """
    rng, count = np.random.default_rng(seed), len(label)
    columns = example_columns(scores, label, loss, probable=probable)
    values = np.stack([column.astype(np.float64) for column in columns.values()])
    ranked = count * resamples * scores.shape[1] <= _RANKED_MOST
    overall, each = [], []
    while resamples:
        taken = min(resamples, max(1, _AT_ONCE // count))
        resamples -= taken
        weights = _draw(rng, count, taken)
        means = dict(zip(columns, np.einsum("mn,nr->mr", values, weights) / count, strict=True))
        own = _confusion_metrics(scores.argmax(axis=1), label, weights, scores.shape[1])
        own |= rank_metrics(scores, label, weights) if ranked else {}
        overall.append({**means, **_macro(own)})
        each.append(own)
    return _joined(overall), {name: part.T for name, part in _joined(each).items()}


def interval(samples: np.ndarray, level: float = 0.95) -> list[float] | None:
    """The percentile interval [low, high] of `[R]` samples; None where one was not finite more often than not."""
    kept = samples[np.isfinite(samples)]
    if 2 * len(kept) < len(samples) or not len(kept):
        return None
    return np.quantile(kept, [(1 - level) / 2, (1 + level) / 2]).tolist()


def rank_metrics(scores: np.ndarray, label: np.ndarray, weights: np.ndarray) -> Samples:
    """ROC-AUC and average precision of each class against the rest, for many weightings at once.

    As `sklearn.metrics.roc_auc_score` and `average_precision_score` have them with `sample_weight`.

    Args:
        scores: float `[N, K]`.
        label: int `[N]`.
        weights: float64 `[N, R]`.

    Returns:
        `roc_auc` and `average_precision`, `[K, R]`; NaN without positives, or for the AUC without negatives.
    """
    both = [_ranked(scores[:, place], label == place, weights) for place in range(scores.shape[1])]
    return {"roc_auc": np.stack([auc for auc, _ in both]), "average_precision": np.stack([ap for _, ap in both])}


def _ranked(score: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(-score, kind="stable")
    ordered, hit = score[order], positive[order]
    run = np.cumsum(np.r_[False, ordered[1:] != ordered[:-1]])  # of equal scores, from the highest on
    # Between two runs with positives only the sum of the negatives matters: they become one.
    with_hits = np.bincount(run[hit], minlength=run[-1] + 1) > 0
    run = np.cumsum(np.r_[False, with_hits[1:] | with_hits[:-1]])[run]
    hits, others = (_sums(run[of], order[of], weights, run[-1] + 1) for of in (hit, ~hit))
    true, false = np.cumsum(hits, axis=0), np.cumsum(others, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        auc = 1 - (hits * (false - others / 2)).sum(axis=0) / (true[-1] * false[-1])
        precision = np.where(true > 0, true / (true + false), 0)
        return auc, (hits * precision).sum(axis=0) / true[-1]


def _confusion_metrics(predicted: np.ndarray, label: np.ndarray, weights: np.ndarray, classes: int) -> Samples:
    right = _per_class_sums(np.where(predicted == label, label, -1), weights, classes)
    examples, said = _per_class_sums(label, weights, classes), _per_class_sums(predicted, weights, classes)
    with np.errstate(invalid="ignore"):
        return {"precision": right / said, "recall": right / examples, "f1": 2 * right / (examples + said)}


def _per_class_sums(which: np.ndarray, weights: np.ndarray, classes: int) -> np.ndarray:
    """`[K, R]`: the weights of the examples of each class; -1 is none."""
    there = np.flatnonzero(which >= 0)
    return _sums(which[there], there, weights, classes)


def _sums(group: np.ndarray, example: np.ndarray, weights: np.ndarray, groups: int) -> np.ndarray:
    """`[groups, R]`: in each group, the weights of its examples."""
    return csr_matrix((np.ones(len(group)), (group, example)), (groups, len(weights))) @ weights


def _macro(own: Mapping[str, np.ndarray]) -> Samples:
    """Means over the classes that have a value."""
    names = {"recall": "balanced_accuracy", "f1": "macro_f1"}
    names |= {name: f"macro_{name}" for name in ("roc_auc", "average_precision")}
    there = {name: np.isfinite(values) for name, values in own.items()}
    with np.errstate(invalid="ignore"):
        return {
            names[name]: np.where(there[name], values, 0).sum(axis=0) / there[name].sum(axis=0)
            for name, values in own.items()
            if name in names
        }


def _draw(rng: np.random.Generator, count: int, resamples: int) -> np.ndarray:
    """How often each example comes in each resample: float64 `[N, R]`."""
    drawn = rng.integers(0, count, (resamples, count)) * resamples + np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=count * resamples).reshape(count, resamples).astype(np.float64)


def _joined(parts: list[Samples]) -> Samples:
    return {name: np.concatenate([part[name] for part in parts], axis=-1) for name in parts[0]}
