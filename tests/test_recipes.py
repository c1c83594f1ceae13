"""Recipes hold options that the train command takes, and `digits` gives what its header says."""

import json
from pathlib import Path

import pytest

from base.options import parse
from scripts import build_tfrecords, train

RECIPES = Path(__file__).parent.parent / "recipes"


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_recipe_is_taken_by_the_train_command(path):
    parse("train.py", "", train.GROUPS, ["--data", "d", "--run", "r", "--config", str(path)])
    header = path.read_text(encoding="utf-8").partition("\n\n")[0]
    assert all(line.startswith("#") for line in header.splitlines())
    assert "build_tfrecords.py" in header and "accuracy" in header


@pytest.mark.slow
def test_the_digits_recipe_reaches_the_accuracy_that_its_header_promises(tmp_path):
    data, run = tmp_path / "data", tmp_path / "run"
    assert build_tfrecords.main(["digits", "--out", str(data)]) == 0
    assert train.main(["--data", str(data), "--run", str(run), "--config", str(RECIPES / "digits.yaml")]) == 0
    assert json.loads((run / "evaluation.json").read_text())["accuracy"] >= 0.98
