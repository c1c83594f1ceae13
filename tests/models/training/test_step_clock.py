import json
import time

import keras
import pytest

from models.training.run_directory import RunDirectory
from models.training.step_clock import StepClock


class Times(keras.callbacks.Callback):
    """When the calls of the loop ended, and what stood in the file before the next one."""

    def __init__(self, run):
        super().__init__()
        self.run, self.ended, self.seen = run, [], []

    def on_train_batch_begin(self, batch, logs=None):
        self.seen.append(read(self.run))

    def on_train_batch_end(self, batch, logs=None):
        self.ended.append(time.monotonic())


def read(run):
    return json.loads(run.clock.read_text()) if run.clock.exists() else None


@pytest.fixture
def run(tmp_path):
    return RunDirectory(tmp_path)


def test_first_and_last_step_stand_there_after_the_first_call_and_at_the_end(run, make_trainer, task):
    trainer, times, clock = make_trainer(1), Times(run), StepClock(run)
    began = time.monotonic()
    trainer.fit(task.training(24, 1), epochs=2, steps_per_call=3, callbacks=[times, clock])
    assert times.seen[0] is None
    first = times.seen[1]["first_step"]
    assert began < times.ended[0] <= first < times.ended[1]  # of the first call's three steps
    assert times.seen[1:] == [{"first_step": first, "last_step": first}] * (len(times.ended) - 1)  # written once
    ended = time.monotonic()
    clock.close()
    assert read(run)["first_step"] == first
    assert times.ended[-1] <= read(run)["last_step"] < ended


def test_the_first_step_is_the_processs_and_not_the_phases(run, make_trainer, task):
    trainer, clock = make_trainer(1), StepClock(run)
    trainer.fit(task.training(24, 1), epochs=1, callbacks=[clock])
    first = read(run)["first_step"]
    trainer.fit(task.training(24, 1), epochs=1, callbacks=[clock])
    clock.close()
    assert read(run)["first_step"] == first < read(run)["last_step"]


def test_a_process_without_a_step_leaves_no_file(run):
    StepClock(run).close()
    assert read(run) is None
