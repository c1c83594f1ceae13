import json

import numpy as np
import pytest

from base.errors import InputError
from models.evaluation.metrics import overall
from tuning.objective import OF_EVALUATION, objective_of


def run_of(folder, *values, name="val_loss", metrics=None, split="validation"):
    rows = [{"epoch": epoch, name: value} for epoch, value in enumerate(values, 1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if metrics is not None:
        (folder / "evaluation.json").write_text(json.dumps({"split": split, "metrics": metrics}))
    return folder


@pytest.mark.parametrize(
    ("name", "values", "best"),
    [("val_loss", (0.5, 0.3, None, 0.4), (0.3, 2)), ("val_accuracy", (0.5, 0.9, 0.9, 0.7), (0.9, 2))],
)
def test_a_run_is_judged_by_its_best_epoch_the_first_of_equals(tmp_path, name, values, best):
    judged = objective_of(name).judge(run_of(tmp_path, *values, name=name))
    assert (judged.score, judged.epoch) == best


def test_a_run_whose_last_weights_are_taken_is_judged_by_them(tmp_path):
    run = run_of(tmp_path, 0.3, 0.5)
    assert objective_of("val_loss").judge(run, last=True).score == 0.5
    assert objective_of("val_loss").judge(run_of(tmp_path, 0.3, None), last=True) is None


def test_a_run_without_a_number_is_not_judged(tmp_path):
    assert objective_of("val_loss").judge(tmp_path) is None
    assert objective_of("val_loss").judge(run_of(tmp_path, None, float("nan"))) is None


def test_evaluations_metrics_are_of_the_validation_split_alone(tmp_path):
    objective = objective_of("val_macro_roc_auc")
    judged = objective.judge(run_of(tmp_path, 0.5, 0.3, metrics={"macro_roc_auc": 0.8, "log_loss": None}))
    assert (judged.score, judged.epoch, judged.metrics) == (0.8, 2, {"val_loss": 0.3, "macro_roc_auc": 0.8})
    assert objective.judge(run_of(tmp_path, 0.3, metrics={"macro_roc_auc": 0.8}, split="test")) is None
    assert objective.judge(run_of(tmp_path, 0.3, metrics={"macro_roc_auc": None})) is None


def test_an_objective_that_no_evaluation_gives_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="objective='val_acuracy'. Did you mean 'val_accuracy'"):
        objective_of("val_acuracy")


def test_any_metric_of_an_evaluation_may_be_the_objective():
    """But its loss and accuracy, which every epoch has."""
    label = np.arange(12) % 6
    written = set(overall(np.eye(6)[label], label, np.zeros(12), probable=True)) - {"loss", "accuracy"}
    assert written == set(OF_EVALUATION)
    assert [objective_of(name).better for name in ("top_5_accuracy", "val_top_2_accuracy")] == ["max", "max"]


@pytest.mark.parametrize("classes", [2, 3, 4, 5, 6])
def test_a_top_k_accuracy_needs_the_classes_that_an_evaluation_gives_it_with(classes):
    label = np.arange(2 * classes) % classes
    written = overall(np.eye(classes)[label], label, np.zeros(len(label)), probable=True)
    assert {name for name in OF_EVALUATION if objective_of(name).least_classes <= classes} == set(OF_EVALUATION) & set(
        written
    )
