"""`train.py --augment`: the same numbers whatever the replicas and wherever the augmentation runs."""

import keras
import numpy as np
import pytest
import yaml

from scripts import train
from tests.scripts.conftest import SMALL

AUGMENT = "light,brightness,cutmix"


def trained(data, run, *arguments):
    argv = ["--data", data, "--run", run, "--epochs", 4, "--precision", "float64", *SMALL, *arguments]
    assert train.main([str(argument) for argument in argv]) == 0
    return [weight.astype(np.float64) for weight in keras.models.load_model(run / "model.keras").get_weights()]


def difference(a, b):
    """The greatest over the tensors of |a - b| / |a|."""
    return max(np.linalg.norm(x - y) / np.linalg.norm(x) for x, y in zip(a, b, strict=True) if np.linalg.norm(x))


@pytest.mark.slow
def test_replicas_and_the_place_of_the_augmentation_do_not_change_what_is_learnt(data, tmp_path, capsys):
    plain = trained(data, tmp_path / "plain")
    one = trained(data, tmp_path / "one", "--augment", AUGMENT)
    assert "compiled by XLA, in the step, on the device" in capsys.readouterr().out
    two = trained(data, tmp_path / "two", "--augment", AUGMENT, "--strategy", "mirrored", "--replicas", 2)
    host = trained(data, tmp_path / "host", "--augment", AUGMENT, "--augment-on", "host")
    assert "in the input pipeline, on the host" in capsys.readouterr().out
    assert difference(plain, one) > 0.01
    # Pixels are float32, and each program of XLA's rounds them its own way.
    assert difference(one, two) < 1e-5
    assert difference(one, host) < 1e-5


def test_the_run_keeps_what_was_asked_for_and_strength_0_is_no_augmentation(data, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("augment: [flip, {rotation: {degrees: 30}}]\naugment_strength: 0.0\n")
    still = trained(data, tmp_path / "still", "--config", recipe)
    kept = yaml.safe_load((tmp_path / "still" / "config.yaml").read_text())
    assert kept["augment"] == ["flip", {"rotation": {"degrees": 30}}] and kept["augment_strength"] == 0.0
    assert difference(trained(data, tmp_path / "plain"), still) == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--augment", "fliip"], ["fliip", "flip"]),
        (["--augment-strength", "-1"], ["--augment-strength"]),
        (["--augment-fill", "mirror"], ["--augment-fill"]),
        (["--augment", "mixup", "--batch-size", "9"], ["even number", "9"]),
        (["--augment", "cutmix", "--head", "linear"], ["--head", "hinge"]),
    ],
)
def test_bad_augmentation_is_one_line(data, tmp_path, capsys, arguments, named):
    assert train.main(["--data", str(data), "--run", str(tmp_path / "run"), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and all(text in error for text in named), error
    assert not (tmp_path / "run").exists()
