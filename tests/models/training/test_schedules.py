import doctest

import numpy as np
import pytest

from base.errors import InputError
from models.training import schedules
from models.training.schedules import Duration, ScheduleOptions, factors


def made(steps=100, steps_an_epoch=10.0, **options):
    return factors(ScheduleOptions(**options), steps_an_epoch, steps)


def test_the_docstrings_examples_are_true():
    assert doctest.testmod(schedules).failed == 0


def test_constant_needs_no_factors_and_warms_up_where_asked():
    assert made() is None
    np.testing.assert_allclose(made(warmup="4 steps")[:6], [0.25, 0.5, 0.75, 1, 1, 1])
    assert len(made(warmup="1.5")) == 100 and made(warmup="1.5")[14] == 1 > made(warmup="1.5")[13]


@pytest.mark.parametrize(
    ("options", "at"),
    [
        (
            {"schedule": "step", "decay_every": "4 epochs", "decay_rate": 0.5},
            {0: 1, 39: 1, 40: 0.5, 80: 0.25, 99: 0.25},
        ),
        ({"schedule": "exponential", "decay_rate": 0.01}, {0: 1, 50: 0.1}),
        ({"schedule": "polynomial", "power": 2.0, "final_factor": 0.5}, {0: 1, 50: 0.625}),
        ({"schedule": "cosine", "final_factor": 0.2}, {0: 1, 50: 0.6}),
        ({"schedule": "one_cycle"}, {0: 0.04, 30: 1, 65: 0.5}),
        ({"schedule": "cosine", "schedule_length": "5 epochs"}, {25: 0.5}),
        ({"schedule": "polynomial", "warmup": "50 steps"}, {0: 0.02, 49: 1, 50: 1, 75: 0.5}),
    ],
)
def test_a_schedule_is_its_formula(options, at):
    made_factors = made(**options)
    assert {step: pytest.approx(float(made_factors[step]), abs=1e-6) for step in at} == at
    assert made_factors.min() >= 0 and made_factors.max() <= 1


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"schedule": "cosine", "schedule_length": "11 epochs"}, ["--schedule-length", "100"]),
        ({"schedule": "cosine", "warmup": "10"}, ["--warmup", "100"]),
        ({"schedule": "cosine", "warmup": "3", "schedule_length": "20 steps"}, ["--warmup", "20"]),
        ({"warmup": "soon"}, ["--warmup", "soon"]),
        ({"warmup": "-1"}, ["--warmup"]),
        ({"schedule_length": "3"}, ["--schedule-length", "--schedule"]),
        ({"schedule": "step", "decay_every": "0"}, ["--decay-every"]),
        ({"schedule": "polynomial", "power": 0.0}, ["--power"]),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(options, named):
    with pytest.raises(InputError) as error:
        made(**options)
    assert all(text in str(error.value) for text in named), error.value


def test_durations_are_epochs_unless_they_say_steps():
    assert Duration.read("2", "x").steps(12.5) == 25
    assert Duration.read("2 epochs", "x").steps(12.5) == 25
    assert Duration.read(" 7 steps ", "x").steps(12.5) == 7
    assert Duration.read("1 step", "x").steps(12.5) == 1
