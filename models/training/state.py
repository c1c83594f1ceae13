"""Where a training stands: its step, the epoch's sums, what its callbacks know. It can be saved, and gone on from."""

import math
import warnings
from collections.abc import Mapping, Sequence

import keras

from models.training import callback_state
from models.training.loop import Result
from models.training.loss_scale import LossScale
from models.training.meter import Meter
from models.training.snapshot import Snapshot, arrays_of, assign, restore_meter, variables_of


class TrainingState:
    """The state of one training, at its beginning.

    Args:
        model: Compiled and built.
        loss_scale: Of mixed_float16, else None.
        callbacks: Of the training, its history among them.
        history: Keras' History.

    Attributes:
        step: Steps done since the run's start.
        epoch: The one that is going on, from 0, until its evaluation and its callbacks are done.
        meter: What the steps of this epoch add up to.
    """

    def __init__(
        self,
        model: keras.Model,
        loss_scale: LossScale | None,
        callbacks: Sequence[keras.callbacks.Callback],
        history: keras.callbacks.History,
    ) -> None:
        self._model, self._loss_scale = model, loss_scale
        self._callbacks, self._history = callbacks, history
        self.step = self.epoch = 0
        self.meter = Meter(len(model.trainable_variables))

    def add(self, result: Result, seconds: float) -> None:
        """Counts the steps of a call."""
        self.meter.add(result, seconds)
        self.step += result.done

    def take_back_skipped(self) -> None:
        """Goes back to before the last step, which left model and optimizer as they were."""
        self.step -= 1
        self.meter.forget_skipped()

    def end_epoch(self, logs: Mapping[str, float]) -> None:
        """Goes over to the next epoch.

        Args:
            logs: Of this one. Other phases may log other layers: the history has None where a name is missing.
        """
        history = self._history.history
        for name, values in history.items():
            missing = [None] * (len(self._history.epoch) - len(values))
            history[name] = missing + values if name in logs else values + missing
        self.epoch += 1
        self.meter.start_epoch()

    def logs(self) -> dict[str, float]:
        """Keras' logs of the epoch, without validation."""
        logs = self.meter.logs()
        logs |= {f"gradient_norm/{layer}": norm for layer, norm in self._gradient_norms().items()}
        if self._loss_scale:
            skipped = int(self.meter.sums.skipped)
            logs |= {"loss_scale": float(self._loss_scale.scale.numpy()), "skipped_steps": skipped}
        return logs

    def snapshot(self) -> Snapshot:
        """The state as it is now."""
        variables = variables_of(self._model, self._loss_scale)
        return Snapshot(
            arrays=arrays_of(variables, self.meter) | callback_state.arrays_of(self._callbacks),
            step=self.step,
            epoch=self.epoch,
            steps_of_epoch=self.meter.steps,
            history={name: list(values) for name, values in self._history.history.items()},
            callbacks=callback_state.states_of(self._callbacks),
        )

    def restore(self, start: Snapshot) -> None:
        """Goes to where a snapshot was taken; after `on_train_begin`, by which callbacks begin anew."""
        assign(variables_of(self._model, self._loss_scale), start.arrays, "the checkpoint")
        restore_meter(self.meter, start.arrays, start.steps_of_epoch)
        self.step, self.epoch = start.step, start.epoch
        self._history.history = {name: list(values) for name, values in start.history.items()}
        done = len(next(iter(start.history.values()), ()))
        self._history.epoch = list(range(start.epoch - done, start.epoch))
        if start.callbacks is None:
            return
        lost = callback_state.restore(self._callbacks, start.callbacks, start.arrays)
        if lost:
            warnings.warn(f"These callbacks go on without what they knew: {', '.join(lost)}", stacklevel=4)

    def _gradient_norms(self) -> dict[str, float]:
        """By layer, in the model's order."""
        squares: dict[str, float] = {}
        for variable, norm in zip(self._model.trainable_variables, self.meter.gradient_norms(), strict=True):
            layer = variable.path.rpartition("/")[0]
            squares[layer] = squares.get(layer, 0.0) + float(norm) ** 2
        return {layer: math.sqrt(square) for layer, square in squares.items()}
