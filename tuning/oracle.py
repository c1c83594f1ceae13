"""KerasTuner's random search, without its Tuner: it proposes combinations, and is told how they did."""

from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial

from tuning.parameters import Boolean, Choice, Float, Int, Parameter, Space

_TUNER = "millrace"  # one asks at a time


class RandomOracle:
    """Proposes combinations of a space, the same ones in the same order for the same seed.

    Args:
        space: What to choose from.
        trials: How many combinations at most.
        seed: Of the draws.
        folder: Where KerasTuner keeps its own record.
    """

    def __init__(self, space: Space, *, trials: int, seed: int, folder: Path) -> None:
        self._names = {_key(parameter): parameter.name for parameter in space}
        self._oracle = keras_tuner.oracles.RandomSearchOracle(
            objective=keras_tuner.Objective("val_loss", "min"),
            max_trials=trials,
            hyperparameters=_hyperparameters(space),
            # It adds 1 a draw, and takes 0 for "any seed": so searches of neighbouring seeds share no draws.
            seed=1 + 1_000_003 * seed,
            # By default three failures in a row end the search.
            max_consecutive_failed_trials=trials + 1,
        )
        self._oracle.verbose = 0
        self._oracle._set_project_dir(str(folder.parent), folder.name)  # only a Tuner does that in public

    def propose(self) -> tuple[Trial, dict[str, Any]] | None:
        """The next combination as KerasTuner's trial, and as options; None when there is no other."""
        trial = self._oracle.create_trial(_TUNER)
        if trial.status == "STOPPED":
            return None
        return trial, {self._names[key]: value for key, value in trial.hyperparameters.values.items()}

    def tell(self, trial: Trial, val_loss: float | None, reason: str) -> None:
        """Says how a proposed trial ended: with `val_loss`, or failed (None) for `reason`."""
        if val_loss is None:
            trial.status, trial.message = "FAILED", reason
        else:
            self._oracle.update_trial(trial.trial_id, {"val_loss": val_loss})
            trial.status = "COMPLETED"
        self._oracle.end_trial(trial)


def _hyperparameters(space: Space) -> keras_tuner.HyperParameters:
    result = keras_tuner.HyperParameters()
    for parameter in space:
        condition = {}
        if parameter.when is not None:
            condition = {"parent_name": parameter.when.name, "parent_values": list(parameter.when.values)}
        sampling = "log" if getattr(parameter, "log", False) else "linear"
        match parameter:
            case Float(low=low, high=high):
                result.Float(_key(parameter), low, high, sampling=sampling, **condition)
            case Int(low=low, high=high, step=step, log=log):
                result.Int(
                    _key(parameter), low, high, None if log and step == 1 else step, sampling=sampling, **condition
                )
            case Boolean():
                result.Boolean(_key(parameter), **condition)
            case Choice(values=values):
                result.Choice(_key(parameter), list(values), **condition)
    return result


def _key(parameter: Parameter) -> str:
    """A name of its own for each parameter.

    KerasTuner allows one name under several conditions, and then drops its value for every condition that fails.
    """
    when = parameter.when
    return parameter.name if when is None else f"{parameter.name} where {when.name} in {list(when.values)}"
