"""The callbacks of every run: metrics, the best model, TensorBoard, early stopping, plateau."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras

from base import files
from base.errors import require
from models.training.options import TrainingOptions
from models.training.run_directory import RunDirectory
from models.training.saving import averaged
from models.training.snapshot import Snapshot

_NORM = "gradient_norm/"


def metrics_row(epoch: int, logs: Mapping[str, Any]) -> dict[str, Any]:
    """The line of `metrics.jsonl` of an epoch, which is counted from 0 here and from 1 there."""
    norms = {name.removeprefix(_NORM): value for name, value in logs.items() if name.startswith(_NORM)}
    others = {name: value for name, value in logs.items() if not name.startswith(_NORM)}
    return {"epoch": epoch + 1, **others, "gradient_norms": norms}


def metrics_rows(start: Snapshot) -> list[dict[str, Any]]:
    """The lines of the epochs that are done at a snapshot."""
    epochs = [dict(zip(start.history, values, strict=True)) for values in zip(*start.history.values(), strict=True)]
    logged = [{name: value for name, value in logs.items() if value is not None} for logs in epochs]
    return [metrics_row(start.epoch - len(epochs) + place, logs) for place, logs in enumerate(logged)]


class MetricsFile(keras.callbacks.Callback):
    """Appends each epoch's logs to `metrics.jsonl`."""

    stateless = True

    def __init__(self, run: RunDirectory) -> None:
        super().__init__()
        self._run = run

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes a line."""
        self._run.append_metrics(metrics_row(epoch, logs))


class BestModel(keras.callbacks.Callback):
    """Keeps the model of the lowest validation loss, and with it the optimizer.

    Its weights are those that were judged: their moving averages, where the optimizer keeps them. Where it finds no
    room, training goes on with the one that stands there. As `.keras`: what Keras writes as weights alone goes to the
    disk through HDF5, which brings the process down where that is full.

    Args:
        run: Where.
        model: That is kept, whose part may be what is trained; None: what is trained.
        writes: Whether it is this process that writes; another one only knows which epoch is the best.
        warn: Told what went wrong and could be survived.
    """

    def __init__(
        self,
        run: RunDirectory,
        model: keras.Model | None = None,
        *,
        writes: bool = True,
        warn: Callable[[str], None] = print,
    ) -> None:
        super().__init__()
        self._run, self._kept, self._writes, self._warn = run, model, writes, warn
        self.epoch: int | None = None  # counted from 1
        self.loss = float("inf")

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Saves the model, if it is the best so far."""
        if logs.get("val_loss", float("inf")) < self.loss and self._save():
            self.epoch, self.loss = epoch + 1, logs["val_loss"]

    def get_state(self) -> dict[str, Any]:
        """The best epoch and its loss."""
        return {"epoch": self.epoch, "loss": self.loss}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from them."""
        self.epoch, self.loss = state["epoch"], state["loss"]

    def _save(self) -> bool:
        """Whether the file now holds the model, or another process has to see to it."""
        if not self._writes:
            return True
        try:
            with files.whole_file(self._run.best, suffix=".keras") as temporary, averaged(self.model):
                (self._kept or self.model).save(temporary)
        except OSError as error:
            self._warn(f"{self._run.best} could not be written ({error.strerror or error}); what stands there stays")
            return False
        return True


class RefuseNonFiniteLoss(keras.callbacks.Callback):
    """Ends a run whose loss is no longer a number: nothing that follows could mend it."""

    stateless = True

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Raises `InputError` after an epoch of non-finite loss."""
        require(
            math.isfinite(logs["loss"]),
            "Expected a finite loss",
            epoch=epoch + 1,
            loss=logs["loss"],
            do="Lower --learning-rate, or look at the data.",
        )


def standard_callbacks(
    run: RunDirectory,
    options: TrainingOptions,
    *,
    validation: bool,
    model: keras.Model | None = None,
    stops_from: int = 0,
    writes: bool = True,
    warn: Callable[[str], None] = print,
) -> tuple[BestModel, list[keras.callbacks.Callback]]:
    """The callbacks that `options` ask for, in their order.

    Args:
        run: Where they write.
        options: Of training.
        validation: Whether there is a validation split; without one nothing can stop early.
        model: See `BestModel`.
        stops_from: The epoch, from 0, before which nothing stops early.
        writes: Whether it is this process that writes, of several that train together.
        warn: Told what went wrong and could be survived.

    Returns:
        The one that keeps the best model; all callbacks, this one included.
    """
    best = BestModel(run, model, writes=writes, warn=warn)
    callbacks = [RefuseNonFiniteLoss(), best]
    if validation and options.reduce_lr_on_plateau:
        callbacks.append(
            keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=options.reduce_lr_on_plateau)
        )
    if validation and options.early_stopping:
        callbacks.append(
            keras.callbacks.EarlyStopping("val_loss", patience=options.early_stopping, start_from_epoch=stops_from)
        )
    if writes:  # after those that change the logs, as the history is
        callbacks += [MetricsFile(run), keras.callbacks.TensorBoard(run.tensorboard, write_graph=False)]
    return best, callbacks
