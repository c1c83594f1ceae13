"""A moment of training: all that decides what comes next, as arrays and plain values."""

import dataclasses
from typing import Any

import keras
import numpy as np

from base.errors import InputError
from models.training.keras_internals import is_seed
from models.training.loss_scale import LossScale
from models.training.meter import Meter

_GROUPS = ("model", "optimizer", "loss_scale")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What a checkpoint holds.

    Attributes:
        arrays: Name -> value: of every variable of the model, the optimizer (with its moving averages of the weights)
            and the loss scale; of the epoch's sums; of weights that callbacks keep.
        step: Steps done since the run's start.
        epoch: The epoch that is going on, counted from 0; one that is done up to its end counts as going on until its
            evaluation and its callbacks are done too.
        steps_of_epoch: Steps done since that epoch's start.
        history: Keras' logs of each epoch that is done; None where an epoch logged nothing under a name.
        callbacks: The states of callbacks, see `callback_state`; None: they begin anew.
        phase: Of the run, from 0: with another one other variables are trained.
    """

    arrays: dict[str, np.ndarray]
    step: int
    epoch: int
    steps_of_epoch: int
    history: dict[str, list[float | None]]
    callbacks: list[dict[str, Any]] | None
    phase: int = 0

    def entering(self, weights: "Snapshot") -> "Snapshot":
        """Where the next phase starts when this one has ended here: with an optimizer that knows nothing yet, and a
        learning rate that no callback has lowered.

        Args:
            weights: Of the next phase's trainer, whose model shares the variables of this one's.
        """
        lasting = {name: value for name, value in self.arrays.items() if name.startswith(("loss_scale/", "callbacks/"))}
        callbacks = [
            {**one, "state": {}} if one["name"] == "ReduceLROnPlateau" else one for one in self.callbacks or ()
        ]
        return dataclasses.replace(
            weights,
            arrays={**weights.arrays, **lasting},
            step=self.step,
            epoch=self.epoch,
            history=self.history,
            callbacks=callbacks,
        )

    def passed_on(self, epoch: int, learning_rate: float) -> "Snapshot":
        """Where another run starts that takes over weights, optimizer and step.

        Args:
            epoch: That the step falls into, counted from 0.
            learning_rate: The other run's.
        """
        arrays = {name: value for name, value in self.arrays.items() if name.split("/", 1)[0] in _GROUPS}
        rate = next(name for name in arrays if name.startswith("optimizer/") and name.endswith("/learning_rate"))
        arrays[rate] = np.asarray(learning_rate, arrays[rate].dtype)
        sums = {name: np.zeros_like(value) for name, value in self.arrays.items() if name.startswith("sums/")}
        return Snapshot(arrays=arrays | sums, step=self.step, epoch=epoch, steps_of_epoch=0, history={}, callbacks=None)

    def facts(self) -> dict[str, Any]:
        """All but the arrays, as JSON can hold it."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "arrays"}


def variables_of(model: keras.Model, loss_scale: LossScale | None) -> dict[str, keras.Variable]:
    """Name -> variable of all that training changes; the names tell layers apart and are the same in every process."""
    groups = (model.variables, model.optimizer.variables, loss_scale.variables if loss_scale else [])
    return {
        f"{group}/{number:04d}/{_lasting_path(group, variable)}": variable
        for group, variables in zip(_GROUPS, groups, strict=True)
        for number, variable in enumerate(variables)
    }


def _lasting_path(group: str, variable: keras.Variable) -> str:
    """The variable's path without the names that count the objects of a process: optimizers, seed generators."""
    return variable.path.split("/", 1)[-1] if group == "optimizer" or is_seed(variable) else variable.path


def arrays_of(variables: dict[str, keras.Variable], meter: Meter) -> dict[str, np.ndarray]:
    """The values of variables, and the sums of an epoch."""
    values = {name: np.array(variable.numpy()) for name, variable in variables.items()}
    sums = {f"sums/{name}": np.asarray(value, np.float64) for name, value in meter.sums._asdict().items()}
    return values | sums


def assign(variables: dict[str, keras.Variable], arrays: dict[str, np.ndarray], source: str) -> None:
    """Gives variables the values that a snapshot holds.

    Raises:
        InputError: They are of another model; `source` is where they come from.
    """
    require_same(variables, arrays, source)
    for name, variable in variables.items():
        variable.assign(arrays[name])


def require_same(variables: dict[str, keras.Variable], arrays: dict[str, np.ndarray], source: str) -> None:
    """Refuses arrays of other variables; `source` is where they come from."""
    wanted = {name: tuple(variable.shape) for name, variable in variables.items()}
    there = {name: value.shape for name, value in arrays.items() if name.split("/", 1)[0] in _GROUPS}
    different = [
        f"{_spoken(name)} {there.get(name, 'absent')} there, {wanted.get(name, 'absent')} here"
        for name in sorted(wanted.keys() | there.keys())
        if wanted.get(name) != there.get(name)
    ]
    if different:
        shown = "; ".join(different[:5]) + (f"; and {len(different) - 5} more" if len(different) > 5 else "")
        raise InputError(f"Expected in {source} the variables of this model. Differing: {shown}")


def _spoken(name: str) -> str:
    group, _, path = name.split("/", 2)
    return path if group == "model" else f"{group} {path}"


def restore_meter(meter: Meter, arrays: dict[str, np.ndarray], steps: int) -> None:
    """Lets an epoch's sums go on from where they were."""
    values = {name: arrays[f"sums/{name}"] for name in meter.sums._fields}
    meter.sums = type(meter.sums)(**values)
    meter.steps = steps
