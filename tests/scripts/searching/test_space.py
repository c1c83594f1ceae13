import pytest

from base.errors import InputError
from base.options import parse
from scripts.searching.space import SEARCHABLE, search_space
from tuning.space.recipe import is_searched
from tuning.space.space import describe


@pytest.fixture
def asked(tmp_path):
    """What is searched and what is fixed, for the lines of a recipe and further arguments."""

    def search(recipe: str, *argv: str, space: str | None = None, image_size: int = 64) -> tuple[list[str], dict]:
        (tmp_path / "recipe.yaml").write_text(recipe)
        argv = ["--config", str(tmp_path / "recipe.yaml"), *argv]
        options = parse("tune.py", "", SEARCHABLE, argv, leave_out=is_searched)
        found, fixed = search_space(argv, options, space, image_size)
        return describe(found), fixed

    return search


def test_a_recipe_is_options_and_a_space_and_the_command_line_fixes_more(asked):
    recipe = "epochs: 2\nblocks: {int: [1, 3]}\noptimizer: {choice: [adam, sgd]}\n"
    recipe += "momentum: {float: [0.5, 0.9], when: {optimizer: sgd}}\n"
    assert asked(recipe, "--seed", "3") == (
        ["blocks: 1 to 3", "optimizer: adam, sgd", "momentum: 0.5 to 0.9 where optimizer is sgd"],
        {"epochs": 2, "seed": 3},
    )
    assert asked(recipe, "--optimizer", "sgd")[0] == ["blocks: 1 to 3", "momentum: 0.5 to 0.9"]
    assert asked(recipe, "--optimizer", "adam")[0] == ["blocks: 1 to 3"]


def test_what_a_recipe_searches_takes_its_place_in_a_ready_made_space(asked):
    recipe = "filters: {choice: [8, 16, 24]}\nfilter_growth: {float: [1, 2]}\nblocks: 2\n"
    assert asked(recipe, space="cnn_grid") == (
        ["dense_units: 32, 64, 128", "dense_layers: 0, 1, 2", "filters: 8, 16, 24", "filter_growth: 1.0 to 2.0"],
        {"convolutions": 1, "blocks": 2},
    )


def test_a_recipe_that_searches_nothing_is_searched_around(asked):
    lines, fixed = asked("filters: 8\n", "--augment", "cifar", image_size=1)
    assert fixed == {"filters": 8, "augment": "cifar", "blocks": 0}
    names = [line.partition(":")[0] for line in lines]
    assert "kernel_size" in names and "augment_strength" in names
    assert not {"filters", "blocks", "augment"} & {*names}


@pytest.mark.parametrize(
    ("recipe", "argv", "message"),
    [
        ("filters: {choice: [8, 16]}", ["--filters", "8"], "Expected a hyperparameter that is not fixed"),
        ("head: linear\nloss: {choice: [hinge, auto]}", ["--head", "softmax"], "Received: loss='hinge'"),
        ("intra_op_threads: {choice: [1, 2]}", [], "option='intra_op_threads'. The place where a trial runs says it"),
        ("dropout: {float: [0, 0.5], also: [memory_budget]}", [], "option='memory_budget'. The place where"),
        ("replicas: {choice: [1, 2]}", [], "option='replicas'. The place where a trial runs says it"),
        ("seed: {int: [0, 9]}", [], "option='seed'. The best of several seeds is the luckiest"),
        ("final: {choice: [best, last]}", [], "option='final'. It says which epoch a trial is judged by"),
        ("prefetch: {int: [1, 9]}", [], "option='prefetch'. It changes no number of a trial"),
        ("optimizer: sgd\nmomentum: {float: [0, 0.9], when: {optimizer: sgd}}", [], "that is searched, too"),
    ],
)
def test_what_can_t_be_searched_is_refused_in_one_line(asked, recipe, argv, message):
    with pytest.raises(InputError) as error:
        asked(recipe, *argv)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
