"""Training steps against the clock."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from models.training.loop import Result

_SECONDS_A_CALL = 0.2


class Timing(NamedTuple):
    """What so many steps took."""

    images: int
    seconds: float
    cpu: float  # seconds of all threads of the process
    waiting: float  # share of the seconds, 0 to 1

    @property
    def images_per_second(self) -> float:
        """Of the global batch."""
        return self.images / self.seconds


class Stopwatch:
    """Takes steps of one stream of batches, for measurements: weights change, nothing is reported or saved.

    Args:
        make_steps: Makes so many steps; says how many it made, and how long it waited for input.
        batch_size: Of the global batch.
    """

    def __init__(self, make_steps: Callable[[int], "Result"], batch_size: int) -> None:
        self._make_steps, self._batch_size = make_steps, batch_size
        self._steps = 0  # in a call; 0 before the first, which traces and compiles

    def __call__(self, seconds: float) -> Timing:
        """The timing of about so many seconds of steps, after a quarter as many unmeasured.

        In these the batches are used up that were prefetched while nobody took any.
        """
        if not self._steps:
            self._make_steps(1)
            self._steps = 1
        self._run(seconds / 4)
        return self._run(seconds)

    def _run(self, seconds: float) -> Timing:
        started, cpu = time.perf_counter(), time.process_time()
        steps, waited, spent = 0, 0.0, 0.0
        while spent < seconds:
            before = spent
            result = self._make_steps(self._steps)
            steps, waited = steps + result.done, waited + result.waited
            spent = time.perf_counter() - started
            self._steps = max(1, int(self._steps * min(10, _SECONDS_A_CALL / (spent - before))))
        images = steps * self._batch_size
        return Timing(images, spent, time.process_time() - cpu, min(1.0, waited / spent))
