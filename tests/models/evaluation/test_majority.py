import numpy as np
import pytest
from sklearn import metrics as sk

from models.evaluation import metrics
from models.evaluation.bootstrap import resample
from models.evaluation.majority import against_majority

CLASSES = ["few", "most", "some"]


def judged(skill, probable=True):
    """Labels, 120 of them, and scores that lean to the label by `skill`, else to the classes' shares."""
    rng, label = np.random.default_rng(1), np.repeat([0, 1, 2], [20, 70, 30])
    scores = rng.dirichlet([2, 7, 3], 120) + skill * np.eye(3)[label]
    scores /= scores.sum(axis=1, keepdims=True)
    judged = scores, label, np.zeros(120)
    samples, _ = resample(*judged, probable=probable, resamples=200, seed=3)
    overall = metrics.overall(*judged, probable=probable)
    report = against_majority(overall, samples, label, CLASSES, probable=probable, level=0.9, seed=3)
    return report, overall, samples, scores, label


def test_the_shares_of_the_classes_have_the_metrics_that_scikit_learn_gives_them():
    report, overall, *_, label = judged(1.0)
    shares = np.tile([20 / 120, 70 / 120, 30 / 120], (120, 1))
    known = {name: row["value"] for name, row in report["metrics"].items()}
    assert (report["class"], report["accuracy"], known["accuracy"]) == ("most", 70 / 120, 70 / 120)
    assert known["balanced_accuracy"] == pytest.approx(1 / 3) and known["macro_roc_auc"] == 0.5
    assert known["top_2_accuracy"] == pytest.approx(100 / 120)
    assert known["macro_f1"] == pytest.approx(sk.f1_score(label, np.ones(120), average="macro", labels=[0, 1, 2]))
    assert known["log_loss"] == pytest.approx(sk.log_loss(label, shares))
    assert known["macro_average_precision"] == pytest.approx(1 / 3) and "loss" not in known
    assert all(
        row["difference"] == pytest.approx(overall[name] - known[name]) for name, row in report["metrics"].items()
    )


def test_a_model_beats_them_where_the_paired_interval_says_so():
    better, *_ = judged(1.0)
    assert all(row["beaten"] for row in better["metrics"].values())
    assert better["metrics"]["log_loss"]["interval"][1] < 0 < better["metrics"]["accuracy"]["interval"][0]
    worthless, *_ = judged(0.0)
    assert not any(row["beaten"] for row in worthless["metrics"].values())
    linear, *_ = judged(1.0, probable=False)
    assert "log_loss" not in linear["metrics"] and linear["metrics"]["macro_roc_auc"]["beaten"]


def test_the_shares_themselves_differ_from_themselves_by_nothing_on_any_resample():
    label = np.repeat([0, 1, 2], [20, 70, 30])
    shares = np.tile([20 / 120, 70 / 120, 30 / 120], (120, 1)), label, np.zeros(120)
    samples, _ = resample(*shares, probable=True, resamples=50, seed=3)
    how = {"probable": True, "level": 0.9, "seed": 3}
    report = against_majority(metrics.overall(*shares, probable=True), samples, label, CLASSES, **how)
    assert all(row["interval"] == [0, 0] and not row["beaten"] for row in report["metrics"].values())
