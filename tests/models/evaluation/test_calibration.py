import numpy as np
import pytest

from models.evaluation.calibration import calibration_errors, reliability


def test_errors_of_a_case_counted_by_hand():
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.45, 0.55]])
    diagram = reliability(scores, np.array([0, 1, 1, 1]), bins=2)
    assert [row["examples"] for row in diagram] == [0, 4] and diagram[0]["accuracy"] is None
    assert diagram[1]["confidence"] == pytest.approx(0.7125) and diagram[1]["accuracy"] == 0.75
    assert calibration_errors(diagram) == pytest.approx({"ece": 0.0375, "mce": 0.0375})
    finer = reliability(scores, np.array([0, 1, 1, 1]), bins=4)  # 0.5-0.75: 0.575, all right; above: 0.85, half
    assert calibration_errors(finer) == pytest.approx({"ece": (2 * 0.425 + 2 * 0.35) / 4, "mce": 0.425})


def test_an_upper_edge_belongs_to_its_bin_and_certainty_to_the_last():
    diagram = reliability(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([0, 0]), bins=2)
    assert [row["examples"] for row in diagram] == [1, 1]


def test_probabilities_that_are_true_have_little_error_and_overconfident_ones_as_much_as_they_are_over():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.5, 1, 50_000)
    label = (rng.random(50_000) > p).astype(int)
    assert calibration_errors(reliability(np.stack([p, 1 - p], axis=1), label))["ece"] < 0.01
    said = (p + 1) / 2
    error = calibration_errors(reliability(np.stack([said, 1 - said], axis=1), label))["ece"]
    assert error == pytest.approx((said - p).mean(), abs=0.01)
