import dataclasses
from typing import Literal

import pytest
import yaml

from base.errors import InputError, require
from base.options import build, given, option, parse, to_dict, typed
from base.recipes import read_recipes, to_yaml


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    units: tuple[int, ...] = option((), "units")
    pooling: Literal["max", "average"] = option("max", "pooling")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    data: str = option(help="where the data is")
    batch_size: int = option(32, "batch size")
    rate: float | None = option(None, "rate")
    norm: bool = option(False, "normalise")

    def __post_init__(self):
        require(self.batch_size > 0, "Expected --batch-size above 0", batch_size=self.batch_size)


def parsed(*argv):
    return parse("try.py", "Tries.", {"run": Run, "shape": Shape}, argv)


def refusal(*argv):
    with pytest.raises(InputError) as error:
        parsed(*argv)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_command_line_wins_over_recipe_wins_over_defaults(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("batch-size: 8\nrate: 1e-3\nnorm: true\nunits: [4, 5]\n")
    options = parsed("--data", "d", "--config", str(recipe), "--batch-size", "16", "--no-norm")
    assert options["run"] == Run(data="d", batch_size=16, rate=0.001, norm=False)
    assert options["shape"] == Shape(units=(4, 5))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Files:
    model: str = option(help="a model")
    paths: tuple[str, ...] = option(help="files")


@pytest.mark.parametrize(
    "argv", [["m", "a", "b", "--units", "4"], ["--norm", "m", "a", "b"], ["m", "--rate=1", "a", "b"]]
)
def test_a_positional_argument_may_be_a_list(argv):
    groups = {"files": Files, "run": Run, "shape": Shape}
    options = parse("try.py", "Tries.", groups, [*argv, "--data", "d"], ("model", "paths"))
    assert options["files"] == Files(model="m", paths=("a", "b"))
    with pytest.raises(InputError, match="paths"):
        parse("try.py", "Tries.", groups, ["m", "--data", "d"], ("model", "paths"))


def test_options_written_as_a_recipe_are_read_back_equal(tmp_path):
    options = parsed("--data", "d", "--rate", "3e-4", "--units", "7", "8", "--norm")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(to_yaml(to_dict(*options.values())))
    assert parsed("--config", str(recipe)) == options
    assert yaml.safe_load(recipe.read_text())["rate"] == 3e-4


def test_an_unknown_option_is_answered_with_the_nearest_name():
    assert "--batchsize" in refusal("--data", "d", "--batchsize", "3")
    assert "Did you mean '--batch-size'?" in refusal("--data", "d", "--batchsize", "3")


def test_an_unknown_recipe_key_is_answered_with_file_and_nearest_name(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("poling: max\n")
    message = refusal("--data", "d", "--config", str(recipe))
    assert str(recipe) in message and "Did you mean 'pooling'?" in message


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--data", "d", "--batch-size", "many"], "--batch-size"),
        (["--data", "d", "--pooling", "median"], "--pooling"),
        (["--data", "d", "--batch-size", "0"], "--batch-size"),
        (["--data", "d", "stray"], "stray"),
        (["--batch-size", "1"], "--data"),
        (["--data", "d", "--config", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_a_bad_option_is_named_in_one_line(argv, named):
    assert named in refusal(*argv)


@pytest.mark.parametrize("text", ["batch_size: [", "- a list", "batch_size: many"])
def test_a_recipe_that_is_no_mapping_of_options_is_refused(tmp_path, text):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text)
    assert "batch-size" in refusal("--data", "d", "--config", str(recipe)) or str(recipe) in refusal(
        "--data", "d", "--config", str(recipe)
    )


def test_a_value_that_fits_none_of_an_options_types_is_answered_with_these_types():
    assert refusal("--data", "d", "--rate", "fast") == (
        "Expected --rate of type float. Received: rate='fast'. See --help."
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Texts:
    unfreeze: tuple[str, ...] = option(("all",), "layers")
    weights: str = option("auto", "weights")
    name: str | None = option(None, "name")
    xla: Literal["auto", "on", "off"] = option("auto", "compiled")
    steps: str | list = option("none", "steps")
    units: tuple[int, ...] = option((), "units")


@pytest.mark.parametrize(
    ("recipe", "chosen"),
    [
        ("unfreeze: 0.30", {"unfreeze": ("0.30",)}),
        ("unfreeze: [none:2, 1:4, 1e-1, 20]", {"unfreeze": ("none:2", "1:4", "1e-1", "20")}),
        ("unfreeze: []", {"unfreeze": ()}),
        ("weights: none", {"weights": "none"}),
        ("weights: 2026-11-22", {"weights": "2026-11-22"}),
        ("name: no\nxla: on", {"name": "no", "xla": "on"}),
        ("name: null\nsteps: [1, {a: 0.5}]", {"steps": (1, {"a": 0.5})}),
        ("units: 256", {"units": (256,)}),
    ],
)
def test_what_a_recipe_says_of_text_is_text_and_a_single_value_stands_for_a_list(tmp_path, recipe, chosen):
    (tmp_path / "recipe.yaml").write_text(recipe)
    argv = ["--config", str(tmp_path / "recipe.yaml")]
    options = parse("try.py", "Tries.", {"texts": Texts}, argv)["texts"]
    assert options == Texts(**chosen)
    (tmp_path / "again.yaml").write_text(to_yaml(to_dict(options)))
    assert parse("try.py", "Tries.", {"texts": Texts}, [f"--config={tmp_path}/again.yaml"])["texts"] == options


@pytest.mark.parametrize(
    ("recipe", "named"),
    [("weights: null", "--weights of type str"), ("unfreeze: {a: 1}", "--unfreeze"), ("units: 0.5", "--units")],
)
def test_a_recipes_value_of_another_type_is_named(tmp_path, recipe, named):
    (tmp_path / "recipe.yaml").write_text(recipe)
    with pytest.raises(InputError, match=named):
        parse("try.py", "Tries.", {"texts": Texts}, ["--config", str(tmp_path / "recipe.yaml")])


def test_what_is_left_out_of_a_recipe_is_neither_parsed_nor_given(tmp_path):
    (tmp_path / "recipe.yaml").write_text("batch-size: {from: 1}\nrate: 0.5\ndata: d\n")
    argv = ["--config", str(tmp_path / "recipe.yaml"), "--no-norm"]
    groups = {"run": Run, "shape": Shape}

    def is_mapping(value):
        return isinstance(value, dict)

    assert parse("try.py", "", groups, argv, leave_out=is_mapping)["run"] == Run(data="d", rate=0.5)
    assert given(argv, groups, leave_out=is_mapping) == {"data", "rate", "norm"}
    assert given(argv, groups) == {"data", "rate", "norm", "batch_size"}


def test_of_several_recipes_the_later_wins_and_text_stays_as_it_stands(tmp_path):
    (tmp_path / "first.yaml").write_text("rate: 0.50\nbatch-size: 1\n")
    (tmp_path / "second.yaml").write_text("rate: 1e-3\nunits: [010]\n")
    argv = [f"--config={tmp_path / 'first.yaml'}", "--norm", "--config", str(tmp_path / "second.yaml")]
    assert read_recipes(argv) == (
        {"rate": "1e-3", "batch_size": 1, "units": [8]},
        {"rate": "1e-3", "batch_size": "1", "units": ["010"]},
    )


@pytest.mark.parametrize(
    ("cls", "name", "value", "expected"),
    [
        (Run, "rate", "1e-3", 0.001),
        (Run, "rate", 1, 1.0),
        (Run, "rate", None, None),
        (Shape, "units", 4, [4]),
        (Texts, "xla", True, "on"),
        (Run, "batch_size", -1, -1),  # the type is right
    ],
)
def test_a_single_value_is_read_as_that_of_a_recipe(cls, name, value, expected):
    found = typed(cls, name, value, "on" if value is True else str(value))
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(("name", "value"), [("batch_size", 1.5), ("norm", 1), ("batch_size", None), ("rate", [1])])
def test_a_single_value_of_another_type_is_refused_by_the_options_name(name, value):
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')} "):
        typed(Run, name, value, str(value))


def test_options_are_built_from_the_values_of_all_fields():
    values = {"data": "d", "batch_size": 2, "rate": None, "norm": True, "units": [1, 2], "pooling": "max"}
    assert build(Shape, values) == Shape(units=(1, 2))
    with pytest.raises(InputError, match="--batch-size above 0"):
        build(Run, {**values, "batch_size": 0})
