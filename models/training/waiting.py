"""Says so when a training waits for its input."""

import keras
from rich.console import Console
from rich.text import Text

WORTH_A_LINE = 0.10  # share of the time


class WaitingVerdict(keras.callbacks.Callback):
    """Prints one line after the first epoch, if more than a tenth of its time was spent waiting for input.

    The time is `fit`'s, without the run's first call, which compiles: nothing is said where there is no other.

    Args:
        console: Where to.
        command: That says more.
        likely: What input is likely to be slow for; "": not known.
    """

    stateless = True

    def __init__(self, console: Console, command: str, likely: str = "") -> None:
        super().__init__()
        self._console = console
        self._command = command
        self._likely = f", likely for {likely}" if likely else ""

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Judges the first epoch."""
        if epoch == 0 and logs["waiting"] > WORTH_A_LINE:
            waiting = f"input-bound: {100 * logs['waiting']:.0f} % of the step is spent waiting{self._likely}"
            text = f"{waiting}; what to change says {self._command}"
            self._console.print(Text(text), soft_wrap=True)
