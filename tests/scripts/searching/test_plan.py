"""What a search can't be, refused before anything is made."""

import pytest

from base.options import parse
from scripts import tune
from scripts.searching.plan import search_plan
from tuning.space.recipe import is_searched

HYPERBAND = ["--algorithm", "hyperband", "--max-epochs", "9"]
TRIALS = ["--trials", "2"]
ONE_ROW = "a trial that goes on has one row of epochs. Received: "


@pytest.fixture
def refused(digits, tmp_path, capsys):
    """The one line in which the lines of a recipe, and further arguments, are refused."""

    def search(recipe: str, *argv: str) -> str:
        (tmp_path / "recipe.yaml").write_text(recipe)
        arguments = ["--data", digits, "--out", str(tmp_path / "out"), "--config", str(tmp_path / "recipe.yaml")]
        assert tune.main([*arguments, *argv]) == 2
        assert not (tmp_path / "out").exists()
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    return search


@pytest.mark.parametrize(
    ("recipe", "argv", "message"),
    [
        ("epochs: {int: [2, 9]}", HYPERBAND, "Expected hyperband without a search of epochs"),
        ("epochs: {int: [2, 9]}\nstages: head:2", TRIALS, "Expected --stages without a search of epochs"),
        (
            "epochs: {int: [2, 9]}\nstages: {choice: [head:2, head:3]}",
            TRIALS,
            "Expected --stages without",
        ),
        ("stages: {choice: [head:2, finetune:3]}", HYPERBAND, f"{ONE_ROW}stages='head:2'"),
        (
            "stages: finetune:9\nhead-dropout: {choice: [0, 0.1]}",
            HYPERBAND,
            f"{ONE_ROW}stages='finetune:9'",
        ),
        ("unfreeze: {choice: [none, [none:2, 0.3]]}", HYPERBAND, "unfreeze=['none:2', '0.3']"),
        (
            "head-dropout: {choice: [0, 0.1]}\nunfreeze: [none:2, 0.3]",
            HYPERBAND,
            "unfreeze=['none:2', '0.3']",
        ),
        ("reduce-lr-on-plateau: 3\nhead-dropout: {choice: [0, 0.1]}", HYPERBAND, "begin anew in each rung. Take"),
        ("reduce-lr-on-plateau: {choice: [0, 3]}", HYPERBAND, "hyperband without --reduce-lr-on-plateau"),
        (
            "stages: head:2,finetune:3\nhead-dropout: {choice: [0, 0.1]}",
            [*TRIALS, "--epochs", "50"],
            "add up to 5, or as many",
        ),
    ],
)
def test_what_would_be_overridden_without_a_word_is_refused(refused, recipe, argv, message):
    assert message in refused(recipe, "--model", "MobileNetV2", *argv)


@pytest.mark.parametrize(
    ("recipe", "argv", "message"),
    [
        ("model: resnet-20", ["--space", "cnn_grid"], "Without meaning: blocks, dense_layers, dense_units, filters."),
        ("model: resnet-20", [], "Received: model='resnet-20'. Choose another --model or --space."),
        (
            "model: cnn\nimage-size: 32",
            ["--space", "transfer"],
            "Without meaning: head_dropout, head_pool, head_units.",
        ),
        ("blocks: {choice: [1, 2]}\nmodel: {choice: [resnet-20, wrn-16-8]}", [], "Without meaning: blocks. Received:"),
        ("head: {choice: [softmax, linear]}", ["--objective", "log_loss"], "head='linear, softmax'"),
        ("head: linear\nblocks: {choice: [1, 2]}", ["--objective", "log_loss"], "are no probabilities"),
        (
            "head: {choice: [softmax, linear]}",
            [],
            "can be compared between losses, as val_accuracy. Received:",
        ),
        ("head: linear\nloss: {choice: [hinge, squared_hinge]}", [], "loss='hinge, squared_hinge'"),
    ],
)
def test_what_would_train_for_nothing_is_refused(refused, recipe, argv, message):
    assert message in refused(recipe, *TRIALS, *argv)


def test_what_can_be_compared_is_searched(digits, tmp_path):
    (tmp_path / "recipe.yaml").write_text("head: linear\nloss: {choice: [hinge, squared_hinge]}\n")
    argv = ["--data", digits, "--out", "o", "--config", str(tmp_path / "recipe.yaml"), "--objective", "val_accuracy"]
    argv += ["--algorithm", "grid"]
    assert search_plan(argv, parse("tune.py", "", tune.GROUPS, argv, leave_out=is_searched)).trials == 2


def test_a_search_goes_on_under_other_values_of_what_changes_no_number(digits, tmp_path):
    def plan(*given: str):
        argv = ["--data", digits, "--out", str(tmp_path), "--trials", "2", *given]
        return search_plan(argv, parse("tune.py", "", tune.GROUPS, argv, leave_out=is_searched))

    often = plan("--checkpoint-minutes", "1")
    assert often.options["checkpoint_minutes"] == 1.0  # the trials are told
    assert often.identity() == plan().identity() != plan("--loss", "auto", "--epochs", "3").identity()
