import itertools
import re

import pytest

from tuning.space.label import LONGEST, label
from tuning.space.parameters import Boolean, Choice, Float
from tuning.space.ready import ready_space


@pytest.mark.parametrize(
    ("parameter", "value", "expected"),
    [
        (Choice(name="blocks", values=(1, 3), label="conv"), 3, "3-conv"),
        (Choice(name="batch_size", values=(32, 64)), 32, "32-batch-size"),
        (Choice(name="clip_norm", values=(None, 1.0)), None, "no-clip-norm"),
        (Choice(name="head_units", values=([], [512, 128])), [512, 128], "512-128-head-units"),
        (Choice(name="head_units", values=([], [512, 128])), [], "no-head-units"),
        (Boolean(name="batch_norm", label="norm"), True, "norm"),
        (Boolean(name="batch_norm", label="norm"), False, "no-norm"),
        (Float(name="learning_rate", low=1e-5, high=1.0), 1e-5, "1e-05-learning-rate"),
        (Float(name="learning_rate", low=1e-5, high=1.0), 0.123456, "0.123-learning-rate-XXXXXXXX"),
        (Choice(name="model", values=("a", "b")), "../my file.py:build", "my-file.py-build-model-XXXXXXXX"),
    ],
)
def test_a_label_says_what_the_values_are(parameter, value, expected):
    found = label((parameter,), {parameter.name: value})
    assert re.sub(r"[0-9a-f]{8}$", "XXXXXXXX", found) == expected


def test_the_grid_has_27_labels_in_their_published_form():
    space = ready_space("cnn_grid", 64, {}, augments=False).space
    labels = {
        label(space, dict(zip(("blocks", "filters", "dense_layers"), values, strict=True)))
        for values in itertools.product((1, 2, 3), (32, 64, 128), (0, 1, 2))
    }
    assert len(labels) == 27
    assert "3-conv-64-filters-0-dense" in labels


def test_labels_are_short_safe_and_tell_all_combinations_apart():
    augment = Choice(name="augment", values=("none", ["flip", {"rotation": {"degrees": 30}}], ["flip", "x" * 99]))
    names = [f"a_long_name_{number}" for number in range(6)]
    space = (Float(name="rate", low=0.0, high=1.0), augment, *(Choice(name=name, values=(1, 2)) for name in names))
    labels = [
        label(space, {"rate": rate, "augment": steps, **dict(zip(names, rest, strict=True))})
        for rate in (0.5, 0.50001)
        for steps in augment.values
        for rest in itertools.product((1, 2), repeat=6)
    ]
    assert len(set(labels)) == len(labels) == 384
    assert all(len(text) <= LONGEST and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", text) for text in labels)
    assert all("/" not in text and ".." not in text for text in labels)
