import numpy as np
import pytest
from sklearn import metrics as sk

from models.evaluation import metrics
from models.evaluation.bootstrap import interval, rank_metrics, resample


def judged(examples, classes, seed=0):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, examples)
    scores = rng.integers(0, 8, (examples, classes)) / 8  # many are equal
    scores[np.arange(examples), label] += 0.25
    return (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32), label, rng.random(examples)


def test_rank_metrics_are_those_of_scikit_learn_with_sample_weights_and_equal_scores():
    scores, label, _ = judged(60, 3)
    weights = np.random.default_rng(1).integers(0, 4, (60, 5)).astype(np.float64)
    seen = rank_metrics(scores, label, weights)
    for k in range(3):
        for r in range(5):
            own = label == k, scores[:, k]
            auc = sk.roc_auc_score(*own, sample_weight=weights[:, r])
            assert seen["roc_auc"][k, r] == pytest.approx(auc, abs=1e-12)
            ap = sk.average_precision_score(*own, sample_weight=weights[:, r])
            assert seen["average_precision"][k, r] == pytest.approx(ap, abs=1e-12)


def test_a_resample_has_the_metrics_of_the_examples_that_it_drew():
    scores, label, loss = judged(40, 3)
    overall, each = resample(scores, label, loss, probable=True, resamples=7, seed=5)
    drawn = np.random.default_rng(5).integers(0, 40, (7, 40))
    for r, places in enumerate(drawn):
        part = scores[places], label[places], loss[places]
        wanted = metrics.overall(*part, probable=True)
        assert {name: values[r] for name, values in overall.items()} == pytest.approx(wanted)
        for name, values in each.items():
            assert values[r].tolist() == pytest.approx(metrics.per_class(*part[:2])[name]), name


def test_resamples_do_not_depend_on_how_many_are_held_at_a_time(monkeypatch):
    scores, label, loss = judged(50, 2)
    together = resample(scores, label, loss, probable=True, resamples=20, seed=0)
    monkeypatch.setattr("models.evaluation.bootstrap._AT_ONCE", 150)
    apart = resample(scores, label, loss, probable=True, resamples=20, seed=0)
    for one, other in zip(together, apart, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def test_intervals_hold_the_true_accuracy_about_as_often_as_they_say():
    rng, held = np.random.default_rng(0), 0
    for seed in range(200):
        right = rng.random(200) < 0.8
        scores = np.stack([right, ~right], axis=1).astype(np.float32)
        samples, _ = resample(scores, np.zeros(200, int), np.zeros(200), probable=True, resamples=200, seed=seed)
        low, high = interval(samples["accuracy"], 0.9)
        held += low <= 0.8 <= high
    assert 0.84 <= held / 200 <= 0.96  # three standard errors about 0.9


def test_what_a_resample_has_no_examples_for_is_left_out_and_never_an_error():
    scores, label = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]], np.float32), np.array([0, 0, 1])
    overall, each = resample(scores, label, np.zeros(3), probable=True, resamples=200, seed=0)
    assert np.isnan(each["recall"][:, 1]).any() and np.isfinite(overall["balanced_accuracy"]).all()
    assert interval(each["recall"][:, 1]) == [0.0, 0.0]
    assert interval(np.array([np.nan, np.nan, 1.0])) is None
    none = resample(scores, np.zeros(3, int), np.zeros(3), probable=True, resamples=5, seed=0)
    assert interval(none[0]["macro_roc_auc"]) is None
