import json
import re

import pytest

from models.training.report import best_epoch, write_report
from models.training.run_directory import RunDirectory


@pytest.fixture
def run(tmp_path):
    run = RunDirectory(tmp_path / "run")
    environment = {
        "command": ["train.py", "--data", "<b>x</b>"],
        "python": "3.11",
        "platform": "Linux",
        "versions": {"keras": "3.15"},
        "really_on": {"devices": "CPU:0"},
        "classes": ["cat & dog", "<script>owl</script>"],
        "data_fingerprint": "abc",
    }
    run.create({"epochs": 6, "optimizer": "adam"}, environment)
    for epoch in range(6):
        row = {"loss": 1.0 / (epoch + 1), "accuracy": 0.1 * epoch, "learning_rate": 0.1 / (epoch + 1)}
        row |= {
            "val_loss": 1.0 + (epoch - 2) ** 2 / 10,
            "val_accuracy": 0.5,
            "images_per_second": 100.0,
            "waiting": 0.3,
        }
        run.append_metrics({"epoch": epoch + 1, **row})
    return run


def test_the_page_holds_curves_findings_options_and_needs_nothing_else(run):
    report = {"split": "test", "examples": 9, "accuracy": 0.75, "loss": 0.5}
    per_class = {"cat & dog": {"precision": 0.5, "recall": 1.0, "examples": 4}}
    run.evaluation.write_text(json.dumps({**report, "per_class": per_class, "confusion_matrix": [[4]]}))
    write_report(run)
    page = run.report.read_text()
    assert page.count("data:image/svg+xml") == 5
    for text in ("over-fitting from epoch 3", "30%", "adam", "3.15", "0.7500", "cat &amp; dog", "CPU:0"):
        assert text in page, text
    assert "<script>" not in page and "<b>x</b>" not in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    write_report(run)
    assert run.report.read_text() == page  # the same run, the same bytes


def test_a_run_without_validation_or_with_numbers_that_are_none_still_has_a_page(run):
    run.metrics.write_text(json.dumps({"epoch": 1, "loss": None, "accuracy": None, "images_per_second": 0.0}) + "\n")
    write_report(run)
    assert "no number from epoch 1" in run.report.read_text()
    assert best_epoch([{"epoch": 1, "val_loss": None}, {"epoch": 2, "val_loss": 0.5}]) == 2
