import json

import numpy as np
import pytest

from models.evaluation.bootstrap import interval, resample
from models.evaluation.report import full_report, worst_mistakes


def report_of(scores, label, loss, classes, *, probable=True):
    samples = resample(scores, label, loss, probable=probable, resamples=50, seed=0)
    return full_report(scores, label, loss, classes, samples, probable=probable, level=0.9), samples


def judged():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 90)
    scores = rng.dirichlet([1, 1, 1], 90) + np.eye(3)[label] * [1.0, 0.5, 0.2]
    return (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32), label, rng.random(90)


def test_each_class_has_its_own_values_and_intervals():
    report, (overall, each) = report_of(*judged(), ["a", "b", "c"])
    matrix = np.array(report["confusion_matrix"])
    for place, name in enumerate(["a", "b", "c"]):
        own = report["per_class"][name]
        assert own["recall"] == pytest.approx(matrix[place, place] / matrix[place].sum())
        assert own["precision"] == pytest.approx(matrix[place, place] / matrix[:, place].sum())
        assert own["intervals"]["recall"] == interval(each["recall"][:, place], 0.9)
        low, high = own["intervals"]["roc_auc"]
        assert low < own["roc_auc"] < high
    assert report["intervals"]["accuracy"] == interval(overall["accuracy"], 0.9)
    assert sum(row["examples"] for row in report["calibration"]["bins"]) == report["examples"] == 90
    assert report["notes"] == []


def test_scores_that_are_no_probabilities_and_empty_classes_are_said_and_json_can_hold_it():
    scores, label, loss = judged()
    wider = np.concatenate([9 * scores, np.full((90, 1), -9, np.float32)], axis=1)
    report, _ = report_of(wider, label, np.full(90, np.inf), ["a", "b", "c", "empty"], probable=False)
    assert report["calibration"] is None and report["metrics"]["log_loss"] is None
    assert report["per_class"]["empty"]["intervals"]["recall"] is None
    said = "; ".join(report["notes"])
    assert "Without an example" in said and "empty" in said and "no probabilities" in said and "not finite" in said
    json.dumps(report, allow_nan=False)


def test_the_worst_mistakes_are_those_of_the_highest_loss_among_the_wrong():
    scores = np.array([[0.1, 0.9], [0.4, 0.6], [0.2, 0.8], [0.9, 0.1]])
    label, loss = np.array([0, 0, 1, 1]), np.array([2.3, 0.9, 5.0, np.nan])
    assert worst_mistakes(scores, label, loss, 10).tolist() == [3, 0, 1]
    assert worst_mistakes(scores, label, loss, 1).tolist() == [3]
    assert worst_mistakes(scores, np.array([1, 1, 1, 0]), loss, 5).tolist() == []
