"""Says how many batches of a data service were lost."""

from collections.abc import Callable

import keras

from pipelines.service.arrivals import Arrivals


class LostBatches(keras.callbacks.Callback):
    """Says at the end of an epoch what has been lost, where that is news.

    An epoch is as many steps as without a data service, whichever came.

    Args:
        arrivals: Gives what came so far.
        say: Is given a line.
    """

    stateless = True

    def __init__(self, arrivals: Callable[[], Arrivals], say: Callable[[str], None]) -> None:
        super().__init__()
        self._arrivals, self._say = arrivals, say
        self.lost = 0  # as said last

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Counts those that are much later than any that came."""
        self._count(at_the_end=False)

    def on_train_end(self, logs: dict | None = None) -> None:
        """Counts those that are later than any that came."""
        self._count(at_the_end=True)

    def _count(self, *, at_the_end: bool) -> None:
        arrivals = self._arrivals()
        lost = arrivals.lost(at_the_end=at_the_end)
        if lost != self.lost:
            self._say(f"data service: {lost:,} of {arrivals.expected:,} batches were lost with a worker")
        self.lost = lost
