"""When a run's process made its first step and its last one, for who measures what stands around them."""

import time

import keras

from base import files
from models.training.run_directory import RunDirectory


class StepClock(keras.callbacks.Callback):
    """Writes a run's `clock.json`: after the first call of the compiled loop, and when it is closed.

    A step has ended when the sums of its call are in host memory: what a device still had to do for them is done. Of a
    call of several steps the end counts. Nothing is written where no step was made.

    Args:
        run: Whose folder.
    """

    stateless = True

    def __init__(self, run: RunDirectory) -> None:
        super().__init__()
        self._run = run
        self._first: float | None = None
        self._last: float | None = None

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Notes the time."""
        self._last = time.monotonic()
        if self._first is None:
            self._first = self._last
            self.close()

    def close(self) -> None:
        """Writes it as it is now: `first_step` and `last_step`, seconds by `time.monotonic`."""
        if self._first is not None:
            files.write_json(self._run.clock, {"first_step": self._first, "last_step": self._last})
