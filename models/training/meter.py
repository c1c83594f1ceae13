"""What an epoch adds up: loss, accuracy, images a second, waiting. Pure arithmetic on numbers handed in."""

from models.training.step import Sums


class Meter:
    """Sums over the calls of an epoch.

    Throughput leaves the run's first call out, which traces and compiles; evaluation is never in it.
    """

    def __init__(self) -> None:
        self._warm = False
        self._seconds_a_step = 0.0
        self.start_epoch()

    def start_epoch(self) -> None:
        """Forgets the sums of the epoch before."""
        self.loss = self.correct = self.weight = 0.0
        self.skipped = 0
        self.images = self.seconds = self.waited = 0.0

    def add(self, steps: int, sums: Sums, waited: float, seconds: float) -> None:
        """Adds a call of `steps` steps that took `seconds`, of which `waited` went by waiting for input."""
        self.loss += sums.loss
        self.correct += sums.correct
        self.weight += sums.weight
        self.skipped += int(sums.skipped)
        if self._warm:
            self._seconds_a_step = seconds / steps
            self.images += sums.weight
            self.seconds += seconds
            self.waited += waited
        self._warm = True

    def steps_within(self, seconds: float) -> int:
        """Steps that take about so many seconds; 1 as long as that isn't known."""
        return max(1, int(seconds / self._seconds_a_step)) if self._seconds_a_step else 1

    def logs(self) -> dict[str, float]:
        """Keras' logs for the epoch so far."""
        seconds = self.seconds or float("inf")
        weight = self.weight or float("nan")  # every step was skipped
        return {
            "loss": self.loss / weight,
            "accuracy": self.correct / weight,
            "images_per_second": self.images / seconds,
            "waiting": self.waited / seconds,
        }
