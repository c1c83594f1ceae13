import numpy as np
import pytest

from models.evaluation import evaluation_report


def test_report_of_a_case_counted_by_hand():
    scores = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.6, 0.4, 0], [0.1, 0.9, 0]])
    report = evaluation_report(scores, np.array([0, 0, 1, 1]), np.array([1.0, 2, 3, 6]), ["a", "b", "c"], "test")
    assert report["split"] == "test" and report["examples"] == 4
    assert report["loss"] == 3.0 and report["accuracy"] == 0.5
    assert report["confusion_matrix"] == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert report["per_class"]["a"] == {"precision": 0.5, "recall": 0.5, "examples": 2}
    assert report["per_class"]["c"] == {"precision": 0.0, "recall": 0.0, "examples": 0}


def test_of_equal_scores_the_first_class_is_the_prediction():
    report = evaluation_report(np.array([[0.5, 0.5]]), np.array([1]), np.array([0.7]), ["a", "b"], "test")
    assert report["accuracy"] == pytest.approx(0.0)
