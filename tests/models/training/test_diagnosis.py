import math

import pytest

from models.training.diagnosis import diagnose, over_fits_from


def rows(loss, val_loss=None, **columns):
    columns = {"loss": loss, **({"val_loss": val_loss} if val_loss else {}), **columns}
    return [{"epoch": i + 1, **{name: values[i] for name, values in columns.items()}} for i in range(len(loss))]


FALLING = [2.0 * 0.8**i for i in range(12)]
STILL = [math.log(10) * (1 + 0.005 * (-1) ** i) for i in range(6)]
NORMS = {"conv_1/kernel": 1e-9, "conv_2/kernel": 0.1, "dense/kernel": 0.2, "head/kernel": 0.5}


@pytest.mark.parametrize(
    ("run", "kinds", "told"),
    [
        (rows(FALLING, [value + 0.1 for value in FALLING]), [], []),
        (rows([2.0, 1.0, None]), ["diverged"], ["epoch 3", "--learning-rate"]),
        (rows([1.0, 0.5, 0.8, 2.5]), ["diverged"], ["0.5", "epoch 2", "2.5"]),
        (rows(STILL), ["learnt_nothing", "plateaued"], ["10 classes", "preview"]),
        (
            rows(FALLING, [1.5, 1.2, 1.0, 0.9, 0.95, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6]),
            ["over_fitted"],
            ["epoch 4", "0.9", "1.6"],
        ),
        (rows(FALLING, [1.5, 1.2, 1.0, 0.9] + [0.895] * 8), ["plateaued"], ["8 epochs", "--schedule"]),
        (rows(FALLING, waiting=[0.5] * 12, images_per_second=[9.0] * 12), ["waited"], ["50%", "doctor"]),
        (rows(FALLING, waiting=[0.5] * 6 + [0.0] * 6, images_per_second=[900.0] * 6 + [9.0] * 6), [], []),
        (rows(FALLING, gradient_norms=[NORMS] * 12), ["vanishing"], ["conv_1/kernel", "--batch-norm"]),
        ([], [], []),
    ],
)
def test_curves_are_read_as_a_colleague_would(run, kinds, told):
    found = diagnose(run, classes=10)
    assert [finding.kind for finding in found] == kinds
    for text in told:
        assert text in found[0].text, found


def test_over_fitting_needs_a_training_loss_that_goes_on_falling():
    assert over_fits_from(rows([1.0] * 5, [1.0, 0.5, 0.7, 0.8, 0.9])) is None
    assert over_fits_from(rows([1.0, 0.8, 0.6, 0.4, 0.2], [1.0, 0.5, 0.7, 0.8, 0.9])) == 2
    assert over_fits_from(rows([1.0, 0.8])) is None
