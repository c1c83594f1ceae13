"""What a person sees while a run goes on: a live line on a terminal, and a line an epoch everywhere."""

import time

import keras
from rich.console import Console
from rich.live import Live
from rich.text import Text


class Progress(keras.callbacks.Callback):
    """Prints loss, accuracy, images/s, the share of time spent waiting for input, and ETA.

    Args:
        console: Where to.
    """

    stateless = True

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._epoch = 0

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Starts the clock."""
        self._started, self._first = time.perf_counter(), None
        if self._live:
            self._live.start()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Takes the epoch's number."""
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Notes where the run starts, which is not at 0 where it goes on."""
        self._first = batch if self._first is None else self._first

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Renews the live line."""
        if self._live:
            done, steps = batch + 1, self.params["steps"]
            eta = (time.perf_counter() - self._started) / (done - self._first) * (steps - done)
            self._live.update(Text(f"{self._head()}  step {done}/{steps}  {_measures(logs)}  ETA {_clock(eta)}"))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Prints the epoch's line."""
        self._console.print(Text(f"{self._head()}  {_measures(logs)}"), soft_wrap=True)

    def on_train_end(self, logs: dict | None = None) -> None:
        """Takes the live line away."""
        self.close()

    def close(self) -> None:
        """Gives the terminal back, also when training ends by an error."""
        if self._live:
            self._live.stop()

    def _head(self) -> str:
        epochs = self.params["epochs"]
        return f"epoch {self._epoch + 1:>{len(str(epochs))}}/{epochs}"


def _measures(logs: dict) -> str:
    parts = [f"loss {logs['loss']:.4f}", f"accuracy {logs['accuracy']:.4f}"]
    if "val_loss" in logs:
        parts += [f"val_loss {logs['val_loss']:.4f}", f"val_accuracy {logs['val_accuracy']:.4f}"]
    if logs["images_per_second"]:
        parts += [f"{logs['images_per_second']:,.0f} images/s", f"waiting {logs['waiting']:.0%}"]
    if logs.get("skipped_steps"):
        parts.append(f"{logs['skipped_steps']:.0f} steps skipped, loss scale {logs['loss_scale']:g}")
    return "  ".join(parts)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
