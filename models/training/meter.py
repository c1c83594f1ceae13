"""What an epoch adds up: loss, accuracy, gradients, images a second, waiting. Pure arithmetic on numbers handed in."""

import numpy as np

from models.training.loop import Result
from models.training.step import Sums


class Meter:
    """Sums over the calls of an epoch.

    Throughput leaves out the first call of the run and of each stage, which traces and compiles; evaluation is never
    in it.
    """

    def __init__(self, variables: int) -> None:
        """`variables` is the number of the model's trainable ones."""
        self._variables = variables
        self.start_stage()
        self.start_epoch()

    def start_stage(self) -> None:
        """Expects the next call to trace and compile."""
        self._warm = False
        self._seconds_a_step = 0.0

    def start_epoch(self) -> None:
        """Forgets the sums of the epoch before."""
        self.sums = Sums(0.0, 0.0, 0.0, 0.0, 0.0, np.zeros(self._variables))
        self.steps = 0
        self.images = self.seconds = self.waited = 0.0

    def add(self, result: Result, seconds: float) -> None:
        """Takes over what a call that took `seconds` has left."""
        if self._warm and result.done:
            self._seconds_a_step = seconds / result.done
            self.images += float(result.sums.count - self.sums.count)
            self.seconds += seconds
            self.waited += result.waited
        self._warm = True
        self.sums = result.sums
        self.steps += result.done

    def forget_skipped(self) -> None:
        """Takes back the last step, one that was skipped."""
        self.sums = self.sums._replace(skipped=self.sums.skipped - 1)
        self.steps -= 1

    def steps_within(self, seconds: float) -> int:
        """Steps that take about so many seconds; 1 as long as that isn't known."""
        return max(1, int(seconds / self._seconds_a_step)) if self._seconds_a_step else 1

    def logs(self) -> dict[str, float]:
        """Keras' logs for the epoch so far."""
        seconds = self.seconds or float("inf")
        # Every step was skipped: no number.
        return {
            "loss": float(self.sums.loss) / (float(self.sums.count) or float("nan")),
            "accuracy": float(self.sums.correct) / (float(self.sums.weight) or float("nan")),
            "images_per_second": self.images / seconds,
            "waiting": self.waited / seconds,
        }

    def gradient_norms(self) -> np.ndarray:
        """The root of each gradient's mean squared norm over the epoch's steps, float64 `[variables]`."""
        return np.sqrt(self.sums.squares / max(self.steps - int(self.sums.skipped), 1))
