"""What a recipe searches, read with the options of the train command itself."""

import textwrap
import typing
from pathlib import Path

import pytest

from base.errors import InputError
from base.options import given, parse, to_dict
from base.recipes import read_recipes
from scripts.training.options import GROUPS
from tuning.space import recipe as space_recipe
from tuning.space.check import require_buildable
from tuning.space.parameters import Boolean, Choice, Condition, Float, Int
from tuning.space.recipe import is_searched, read_parameters
from tuning.space.space import space_of

SEARCHED = {title: group for title, group in GROUPS.items() if title != "run"}


def read(folder: Path, text: str) -> list:
    (folder / "recipe.yaml").write_text(text)
    return read_parameters(*read_recipes(["--config", str(folder / "recipe.yaml")]), SEARCHED)


def check(folder: Path, text: str) -> None:
    parameters = read(folder, text)
    options = parse("try.py", "", SEARCHED, ["--config", str(folder / "recipe.yaml")], leave_out=is_searched)
    require_buildable(space_of(parameters), to_dict(*options.values()), SEARCHED)


@pytest.mark.parametrize(
    ("line", "parameters"),
    [
        ("filters: {choice: [16, 32]}", [Choice(name="filters", values=(16, 32))]),
        ("dropout: {choice: [0, 5e-1]}", [Choice(name="dropout", values=(0.0, 0.5))]),
        ("xla: {choice: [on, off]}", [Choice(name="xla", values=("on", "off"))]),
        (
            "unfreeze: {choice: [none, 0.10, [none:2, 20]]}",
            [Choice(name="unfreeze", values=(["none"], ["0.10"], ["none:2", "20"]))],
        ),
        ("head-units: {choice: [[], 256, [512, 128]]}", [Choice(name="head_units", values=([], [256], [512, 128]))]),
        ("clip_norm: {choice: [null, 1]}", [Choice(name="clip_norm", values=(None, 1.0))]),
        (
            "augment: {choice: [none, [flip, {rotation: {degrees: 30}}]]}",
            [Choice(name="augment", values=("none", ["flip", {"rotation": {"degrees": 30}}]))],
        ),
        ("augment: [flip, {rotation: {degrees: 30}}]", []),
        ("augment: [{rotation: {degrees: 30}}]\nblocks: 3\nunfreeze: []", []),
        ("blocks: {int: [1, 4]}", [Int(name="blocks", low=1, high=4)]),
        ("dense_units: {int: [64, 256, 64]}", [Int(name="dense_units", low=64, high=256, step=64)]),
        ("dense_units: {int: [64, 256], log: true}", [Int(name="dense_units", low=64, high=256, log=True)]),
        ("dropout: {float: [0, 0.5]}", [Float(name="dropout", low=0.0, high=0.5)]),
        (
            "learning_rate: {float: [1e-4, 1e-2], log: true}",
            [Float(name="learning_rate", low=1e-4, high=1e-2, log=True)],
        ),
        ("batch-norm: {boolean: true, label: norm}", [Boolean(name="batch_norm", label="norm")]),
        (
            "filters: {choice: [1, 2], also: dense-units}",
            [Choice(name="filters", values=(1, 2), also=("dense_units",))],
        ),
        (
            "nesterov: {boolean: true, when: {optimizer: sgd}}",
            [Boolean(name="nesterov", when=Condition(name="optimizer", values=("sgd",)))],
        ),
        (
            "first-layer-rate: {float: [0.1, 1], when: {unfreeze: [0.30, [none:2, all]]}}",
            [
                Float(
                    name="first_layer_rate",
                    low=0.1,
                    high=1.0,
                    when=Condition(name="unfreeze", values=(["0.30"], ["none:2", "all"])),
                )
            ],
        ),
        (
            "momentum: [{float: [0.5, 0.9], when: {optimizer: sgd}}, {choice: [0, 0.9], when: {optimizer: muon}}]",
            [
                Float(name="momentum", low=0.5, high=0.9, when=Condition(name="optimizer", values=("sgd",))),
                Choice(name="momentum", values=(0.0, 0.9), when=Condition(name="optimizer", values=("muon",))),
            ],
        ),
    ],
)
def test_a_recipe_says_what_is_searched_in_the_types_of_the_options(tmp_path, line, parameters):
    assert read(tmp_path, line) == parameters


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("learning_rat: {float: [0.1, 1]}", "option='learning_rat'. Did you mean 'learning_rate'?"),
        ("filters: {choice: [1, 2], also: [dense_unit]}", "option='dense_unit'. Did you mean 'dense_units'?"),
        ("run: {choice: [a, b]}", "Expected an option that can be searched. Received: option='run'"),
        ("filters: {choise: [1, 2]}", "Did you mean 'choice'?"),
        ("filters: {}", "Expected one of choice, int, float, boolean for filters"),
        ("filters: {choice: [1, 2], int: [1, 2]}", "Expected one of choice, int, float, boolean for filters"),
        ("filters: {int: [1, 2], lgo: true}", "key='lgo'. Did you mean 'log'?"),
        ("filters: {choice: [1, 2], log: true}", "key='log'"),
        ("filters: {choice: 3}", "Expected {choice: [...]} for filters"),
        ("filters: {choice: [32]}", "choice=[32]. Say filters: 32 to fix it."),
        ("dropout: {choice: [0, 0.0]}", "two or more different values"),
        ("filters: {choice: [16, many]}", "Expected --filters of type int. Received: filters='many'"),
        ("pooling: {choice: [max, averge]}", "Did you mean 'average'?"),
        ("filters: {int: [64, 16]}", "the low bound first. Received: int=[64, 16]"),
        ("filters: {int: [16, 64, 10]}", "leads from the low bound to the high one"),
        ("filters: {int: [16, 64.5]}", "Expected {int: [low, high, step]} of whole numbers for filters"),
        ("filters: {int: 16}", "Expected {int: [low, high, step]} of whole numbers for filters. Received: int=16"),
        ("dropout: {float: [0, much]}", "Expected {float: [low, high]} for dropout. Received: float=[0, 'much']"),
        ("dropout: {float: [0.1, 0.5, 0.1]}", "Expected {float: [low, high]} for dropout"),
        ("learning_rate: {float: [0, 0.1], log: true}", "bounds above 0 for learning_rate with log"),
        ("learning_rate: {float: [0.1, 0.2], log: 10}", "Expected log: true or log: false for learning_rate"),
        ("batch_norm: {boolean: [true, false]}", "Expected {boolean: true} for batch_norm"),
        ("nesterov: {boolean: true, when: sgd}", "Expected when: {OPTION: [VALUE, ...]} with one option for nesterov"),
        ("nesterov: {boolean: true, when: {optimizer: sdg}}", "Did you mean 'sgd'?"),
    ],
)
def test_what_can_t_be_searched_is_refused_in_one_line(tmp_path, line, message):
    with pytest.raises(InputError) as error:
        read(tmp_path, line)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("dropout: {float: [0, 1]}", "Expected --dropout from 0 to below 1. Received: dropout=1.0."),
        ("blocks: {int: [-1, 3]}", "Expected --blocks of at least 0"),
        ("filters: {float: [16, 64]}", "Expected --filters of type int"),
        ("batch_norm: {int: [0, 1]}", "Expected --batch-norm true or false. Received: batch_norm=0."),
        ("filters: {boolean: true}", "Expected --filters of type int"),
        ("filters: {int: [0, 4], also: [dense_units]}", "Expected --filters of at least 1"),
        ("spatial_dropout: {choice: [0.5, 0.6], also: [dense_layers]}", "Expected --dense-layers of type int"),
        ("augment: {choice: [light, hevy]}", "Expected a step or policy of augment. Received: name='hevy'"),
        ("unfreeze: {choice: [all, none:2]}", "Expected --unfreeze gradually"),
        ("head: linear\nloss: {choice: [hinge, cross_entropy]}", "with --head linear. Received: loss='cross_entropy'"),
        (
            "head: {choice: [softmax, linear]}\nloss: {choice: [hinge, cross_entropy], when: {head: linear}}",
            "with --head linear. Received: loss='cross_entropy'",
        ),
        (
            "head: {choice: [softmax, linear]}\nloss: {choice: [auto, hinge]}",
            "with --head softmax. Received: loss='hinge'",
        ),
    ],
)
def test_what_training_would_refuse_is_refused_with_the_parameter_named(tmp_path, recipe, message):
    with pytest.raises(InputError) as error:
        check(tmp_path, recipe)
    assert message in str(error.value)
    assert str(error.value).startswith("Searched is ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "recipe",
    [
        "head: {choice: [softmax, linear]}\nloss: {choice: [hinge, squared_hinge], when: {head: linear}}",
        "warmup: {int: [0, 3]}\nschedule: {choice: [cosine, step]}",
        "unfreeze: {int: [0, 20]}\nwidth_shift_range: {float: [0.1, 0.3]}",
        "clip_norm: {choice: [null, 1.0]}\nseed: {int: [0, 4]}\nschedule_length: {choice: [null, 5 epochs]}\nwarmup: 1",
        "head_units: {choice: [[], 256]}\nmemory_budget: {choice: [1GB, 2000000]}",
    ],
)
def test_what_training_takes_is_taken(tmp_path, recipe):
    check(tmp_path, recipe)


def test_the_example_of_the_module_is_a_space(tmp_path):
    text = space_recipe.__doc__.split("\n\n")[1]
    check(tmp_path, textwrap.dedent(text))
    assert len(space_of(read(tmp_path, textwrap.dedent(text)))) == 10


def test_a_recipe_splits_into_options_and_a_space_and_the_later_recipe_wins(tmp_path):
    (tmp_path / "first.yaml").write_text("blocks: {int: [1, 3]}\nfilters: 8\nepochs: 2\n")
    (tmp_path / "second.yaml").write_text("blocks: 4\nfilters: {choice: [16, 32]}\n")
    argv = ["--config", str(tmp_path / "first.yaml"), f"--config={tmp_path / 'second.yaml'}", "--batch-size", "5"]
    assert read_parameters(*read_recipes(argv), SEARCHED) == [Choice(name="filters", values=(16, 32))]
    assert given(argv, SEARCHED, leave_out=is_searched) == {"blocks", "epochs", "batch_size"}
    options = to_dict(*parse("try.py", "", SEARCHED, argv, leave_out=is_searched).values())
    assert {name: options[name] for name in ("blocks", "epochs", "batch_size")} == {
        "blocks": 4,
        "epochs": 2,
        "batch_size": 5,
    }


def test_an_unknown_option_is_refused_with_the_recipe_named(tmp_path):
    (tmp_path / "recipe.yaml").write_text("filtrs: {choice: [16, 32]}\n")
    with pytest.raises(InputError, match=r"recipe\.yaml\. Received: key='filtrs'\. Did you mean 'filters'\?"):
        parse("try.py", "", SEARCHED, ["--config", str(tmp_path / "recipe.yaml")], leave_out=is_searched)


def test_no_option_of_training_has_a_mapping_for_a_value():
    for group in GROUPS.values():
        for name, kind in typing.get_type_hints(group).items():
            kinds = {kind, *typing.get_args(kind)}
            assert not {dict, typing.Any} & {typing.get_origin(one) or one for one in kinds}, name
