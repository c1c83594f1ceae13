import numpy as np
import pytest
from sklearn import metrics as sk

from models.evaluation import metrics


def judged(examples=300, classes=4, seed=0):
    """Probabilities that know something, labels and losses; no two scores are equal."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, examples)
    logits = rng.normal(size=(examples, classes))
    logits[np.arange(examples), label] += 1
    odds = np.exp(logits)
    return (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32), label, rng.random(examples)


def test_overall_metrics_are_those_of_scikit_learn():
    scores, label, loss = judged()
    seen, predicted, every = metrics.overall(scores, label, loss, probable=True), scores.argmax(axis=1), range(4)
    assert seen == pytest.approx(
        {
            "loss": loss.mean(),
            "accuracy": sk.accuracy_score(label, predicted),
            "top_2_accuracy": sk.top_k_accuracy_score(label, scores, k=2, labels=every),
            "top_3_accuracy": sk.top_k_accuracy_score(label, scores, k=3, labels=every),
            "log_loss": sk.log_loss(label, scores, labels=every),
            "balanced_accuracy": sk.balanced_accuracy_score(label, predicted),
            "macro_f1": sk.f1_score(label, predicted, average="macro"),
            "macro_roc_auc": sk.roc_auc_score(label, scores, multi_class="ovr", average="macro"),
            "macro_average_precision": sk.average_precision_score(np.eye(4)[label], scores, average="macro"),
        }
    )


def test_per_class_metrics_are_those_of_scikit_learn():
    scores, label, _ = judged(classes=3)
    each = metrics.per_class(scores, label)
    precision, recall, f1, examples = sk.precision_recall_fscore_support(label, scores.argmax(axis=1))
    for name, wanted in (("precision", precision), ("recall", recall), ("f1", f1), ("examples", examples)):
        assert each[name] == pytest.approx(list(wanted)), name
    assert each["roc_auc"][2] == pytest.approx(sk.roc_auc_score(label == 2, scores[:, 2]))
    assert sum(each["predicted"]) == 300


def test_a_class_without_examples_or_predictions_has_none_is_named_and_left_out_of_means():
    scores = np.array([[0.9, 0.1, 0, 0], [0.2, 0.8, 0, 0], [0.6, 0.4, 0, 0], [0.1, 0.9, 0, 0]], np.float32)
    label = np.array([0, 0, 1, 3])
    each = metrics.per_class(scores, label)
    assert each["recall"] == [0.5, 0.0, None, 0.0]
    assert each["precision"] == [0.5, 0.0, None, None]
    assert each["f1"] == [0.5, 0.0, None, 0.0]
    assert each["roc_auc"][2] is None and each["average_precision"][2] is None
    seen = metrics.overall(scores, label, np.array([1, 2, np.inf, 3]), probable=True)
    assert seen["loss"] is None and seen["balanced_accuracy"] == pytest.approx(0.5 / 3)
    empty, unsaid = metrics.undefined(each, ["a", "b", "c", "d"])
    assert empty.startswith("Without an example") and empty.endswith(": c")
    assert unsaid == "Never predicted: no precision: d"


def test_where_there_is_but_one_class_nothing_can_be_ranked():
    scores = np.array([[0.9, 0.1], [0.4, 0.6]], np.float32)
    each = metrics.per_class(scores, np.array([0, 0]))
    assert each["roc_auc"] == [None, None] and each["average_precision"] == [None, None]
    assert metrics.overall(scores, np.array([0, 0]), np.zeros(2), probable=True)["macro_roc_auc"] is None
    assert any(note.startswith("The only class there is") for note in metrics.undefined(each, ["a", "b"]))


def test_of_equal_scores_the_first_class_comes_first_in_predictions_and_in_the_best_k():
    scores = np.full((1, 4), 0.25, np.float32)
    for label, rank in ((0, 0), (1, 1), (3, 3)):
        assert metrics.label_ranks(scores, np.array([label])).tolist() == [rank]
    seen = metrics.overall(scores, np.array([1]), np.zeros(1), probable=True)
    assert (seen["accuracy"], seen["top_2_accuracy"]) == (0.0, 1.0)


def test_scores_that_are_no_probabilities_have_no_log_loss():
    scores = np.array([[3.0, -2.0], [-1.0, 4.0]], np.float32)
    seen = metrics.overall(scores, np.array([0, 1]), np.zeros(2), probable=False)
    assert seen["log_loss"] is None and seen["accuracy"] == 1.0 and seen["macro_roc_auc"] == 1.0
