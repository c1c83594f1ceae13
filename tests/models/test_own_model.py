import pytest

from base.errors import InputError
from models.heads import Head
from models.model_options import ModelOptions
from models.own_model import build_own_model, needs_its_file

FILE = """
import keras

def sequential(shape, outputs):
    return keras.Sequential([keras.Input(shape), keras.layers.Rescaling(1 / 255), keras.layers.Flatten(),
                             keras.layers.Dense(outputs, activation="softmax")])

class Mine(keras.Model):
    def __init__(self, outputs):
        super().__init__()
        self.flat, self.dense = keras.layers.Flatten(), keras.layers.Dense(outputs, activation="softmax")
    def call(self, x, training=False):
        return self.dense(self.flat(keras.ops.cast(x, "float32") / 255))

class Savable(Mine):
    def get_config(self):
        return {"outputs": self.dense.units}

def subclassed(shape, outputs):
    return Savable(outputs)

def unsavable(shape, outputs):
    return Mine(outputs)

def logits(shape, outputs):
    return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(outputs)])

def too_many(shape, outputs):
    return sequential(shape, outputs + 1)

def nothing(shape, outputs):
    return None

def broken(shape):
    return None

def other_size(shape, outputs):
    return sequential((9, 9, 1), outputs)
"""
SOFTMAX = Head("softmax", "cross_entropy", 3)


@pytest.fixture
def file(tmp_path):
    (tmp_path / "mine.py").write_text(FILE)
    return tmp_path / "mine.py"


@pytest.mark.parametrize(("function", "alone"), [("sequential", True), ("subclassed", False)])
def test_a_model_of_ones_own_is_built_and_checked(file, function, alone):
    model = build_own_model(f"{file}:{function}", (8, 8, 1), SOFTMAX)
    assert model.built and model.count_params() == 8 * 8 * 3 + 3
    assert needs_its_file(model) is not alone
    assert ModelOptions(model=f"{file}:{function}").is_own and not ModelOptions().is_own


@pytest.mark.parametrize(
    ("function", "named"),
    [
        ("missing", ["missing", "sequential"]),
        ("logits", ["probabilities", "softmax"]),
        ("unsavable", ["Mine", "get_config"]),
        ("too_many", ["[B, 3]", "[2, 4]"]),
        ("nothing", ["keras.Model", "NoneType"]),
        ("broken", ["TypeError", "image shape"]),
        ("other_size", ["pixels", "8, 8, 1"]),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(file, function, named):
    with pytest.raises(InputError) as error:
        build_own_model(f"{file}:{function}", (8, 8, 1), SOFTMAX)
    assert all(part in str(error.value) for part in named), error.value
    assert "\n" not in str(error.value)


def test_a_file_that_is_missing_or_fails_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.py"):
        build_own_model(f"{tmp_path}/absent.py:f", (8, 8, 1), SOFTMAX)
    (tmp_path / "bad.py").write_text("import nothing_of_that_name")
    with pytest.raises(InputError, match="ModuleNotFoundError"):
        build_own_model(f"{tmp_path}/bad.py:f", (8, 8, 1), SOFTMAX)
