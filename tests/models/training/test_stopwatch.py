import time
from types import SimpleNamespace

import numpy as np

from models.training.stopwatch import Stopwatch


def test_it_times_the_steps_of_fit_without_the_call_that_compiles(task, make_trainer):
    trainer = make_trainer()
    before = [weight.copy() for weight in trainer.model.get_weights()]
    timing = trainer.stopwatch(task.training(batch_size=30, replicas=1))(0.05)
    assert timing.images % 30 == 0 and timing.seconds >= 0.05 and timing.cpu > 0 and 0 <= timing.waiting <= 1
    assert any((a != b).any() for a, b in zip(before, trainer.model.get_weights(), strict=True))


def test_steps_waiting_and_seconds_are_those_of_the_measured_calls_alone():
    calls = []

    def make_steps(steps):
        calls.append(steps)
        time.sleep(0.01 * steps if len(calls) > 1 else 0.5)  # the first compiles
        return SimpleNamespace(done=steps, waited=0.004 * steps)

    timing = Stopwatch(make_steps, batch_size=8)(0.2)
    assert calls[0] == 1 and timing.seconds < 0.5
    # Neither the step that compiles is counted, nor those that use up what was prefetched.
    assert timing.images % 8 == 0 and timing.images / 8 <= sum(calls) - 2
    np.testing.assert_allclose(timing.waiting, 0.004 * timing.images / 8 / timing.seconds)
