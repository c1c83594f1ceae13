import numpy as np
import pytest

from models.evaluation import evaluation_report


def test_report_of_a_case_counted_by_hand():
    scores = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.6, 0.4, 0], [0.1, 0.9, 0]])
    report = evaluation_report(
        scores, np.array([0, 0, 1, 1]), np.array([1.0, 2, 3, 6]), ["a", "b", "c"], "test", probable=True
    )
    assert report["split"] == "test" and report["examples"] == 4
    assert report["loss"] == 3.0 and report["accuracy"] == 0.5
    assert report["confusion_matrix"] == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert report["per_class"]["a"] == {"precision": 0.5, "recall": 0.5, "examples": 2}
    assert report["per_class"]["c"] == {"precision": 0.0, "recall": 0.0, "examples": 0}


def test_of_equal_scores_the_first_class_is_the_prediction():
    report = evaluation_report(
        np.array([[0.5, 0.5]]), np.array([1]), np.array([0.7]), ["a", "b"], "test", probable=True
    )
    assert report["accuracy"] == pytest.approx(0.0)


def test_metrics_of_all_examples_stand_beside_the_others_and_are_none_where_they_have_no_meaning():
    scores = np.array([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.4, 0.6]])
    label, loss = np.array([0, 1, 1, 1]), np.array([1.0, 2, 3, 6])
    metrics = evaluation_report(scores, label, loss, ["a", "b"], "validation", probable=True)["metrics"]
    assert metrics == {
        "loss": 3.0,
        "accuracy": 0.75,
        "log_loss": pytest.approx(-np.log([0.8, 0.4, 0.7, 0.6]).mean()),
        "balanced_accuracy": pytest.approx((1 + 2 / 3) / 2),
        "macro_f1": pytest.approx((2 / 3 + 4 / 5) / 2),
        "macro_roc_auc": 1.0,
        "macro_average_precision": 1.0,
    }
    unlike = evaluation_report(9 * scores, label, loss, ["a", "b"], "validation", probable=False)["metrics"]
    assert unlike == {**metrics, "log_loss": None}


def test_a_model_that_gives_no_numbers_is_reported_all_the_same():
    scores, label = np.full((4, 2), np.nan, np.float32), np.array([0, 1, 0, 1])
    report = evaluation_report(scores, label, np.full(4, np.nan), ["a", "b"], "test", probable=True)
    assert report["loss"] is None
    assert [report["metrics"][name] for name in ("loss", "log_loss", "macro_roc_auc")] == [None] * 3
