"""What a chief and its workers say: proposals and results as messages of KerasTuner's protocol, and back.

A trial's hyperparameters travel as KerasTuner has them (`tuning.oracles.keras_tuner_space`), with `tuner/epochs` and
`tuner/trial_id` as its Hyperband has them. What its messages have no place for travels as one more text among the
hyperparameters, which KerasTuner's own clients pass over: what search it is with the space, the whole result with a
trial's end (`tuning.cluster.results`).

Nothing that comes in is believed: a value that is outside the space, or text that is too long, is an `InputError`.
"""

import contextlib
import io
import math
import re
from collections.abc import Mapping
from typing import Any

from keras_tuner.src import protos

from base.errors import require
from tuning.oracles.keras_tuner_space import KerasTunerSpace
from tuning.oracles.options import OracleOptions
from tuning.oracles.proposal import Proposal
from tuning.space.parameters import Float, Space

MESSAGES, SERVICE, STUBS = protos.get_proto(), protos.get_service(), protos.get_service_grpc()
Status = MESSAGES.TrialStatus
SEARCH, RESULT = "millrace/search", "millrace/result"
LARGEST = 1 << 20  # bytes of a message
_TRIAL_ID = re.compile(r"([1-9][0-9]{0,6})(-[0-9a-f]{1,16})?")


def number_of(trial_id: str) -> int:
    """A trial's number from its id: '7', or '7-1f2e3d4c' where it is not handed out for the first time.

    Raises:
        InputError: It is no such id.
    """
    match = _TRIAL_ID.fullmatch(trial_id)
    require(match is not None, "Expected the id of a trial", trial_id=trial_id[:100])
    return int(match[1])


class WireSpace:
    """A space as it stands in messages.

    Args:
        space: What is searched.
        options: By which algorithm.
    """

    def __init__(self, space: Space, options: OracleOptions) -> None:
        self._space, self._max_epochs = space, options.max_epochs
        self._keras_tuner = KerasTunerSpace(space, grid=options.algorithm == "grid")
        with contextlib.redirect_stdout(io.StringIO()):  # KerasTuner 1.4.8 prints each condition that it converts
            self._message = self._keras_tuner.hyperparameters.to_proto()

    def message(self, search: str) -> Any:
        """The space for `GetSpace`.

        Args:
            search: What search it is, as text.
        """
        message = MESSAGES.HyperParameters()
        message.CopyFrom(self._message)
        message.space.fixed_space.add(name=SEARCH, value=_value(search))
        message.values.values[SEARCH].string_value = search
        return message

    @property
    def names(self) -> set[str]:
        """Names of KerasTuner's hyperparameters."""
        return {one.name for one in self._keras_tuner.hyperparameters.space}

    def trial(self, proposal: Proposal, trial_id: str, status: int, parent_epochs: int = 0) -> Any:
        """A proposal as KerasTuner's trial.

        Args:
            proposal: What is to be trained.
            trial_id: Under which it is handed out.
            status: Of `Status`.
            parent_epochs: How long the parent was trained, where it has one.
        """
        values = self._keras_tuner.codes(proposal.values)
        if proposal.epochs is not None:
            values |= {"tuner/epochs": proposal.epochs, "tuner/initial_epoch": parent_epochs}
        if proposal.parent is not None:
            values["tuner/trial_id"] = str(proposal.parent)
        trial = MESSAGES.Trial(trial_id=trial_id, status=status)
        trial.hyperparameters.space.CopyFrom(self._message.space)
        for name, value in values.items():
            trial.hyperparameters.values.values[name].CopyFrom(_value(value))
        return trial

    def proposal(self, trial: Any) -> Proposal:
        """KerasTuner's trial as a proposal.

        Raises:
            InputError: It is not of this space, or not of this algorithm.
        """
        number = number_of(trial.trial_id)
        given = {name: _plain(value) for name, value in trial.hyperparameters.values.values.items()}
        epochs, parent, _ = (given.pop(f"tuner/{name}", None) for name in ("epochs", "trial_id", "initial_epoch"))
        values = self._values(given)
        in_space = f"Expected trial {number} inside this command's own space"
        require(values is not None, in_space, hyperparameters=str(given)[:500])
        most = self._max_epochs
        is_rung = isinstance(epochs, int) and 1 <= epochs <= (most or 0)
        require(is_rung if most else epochs is None, f"{in_space}, with epochs of its algorithm", epochs=epochs)
        if parent is not None:
            require(bool(most) and isinstance(parent, str), f"{in_space}, with a parent of Hyperband", parent=parent)
            parent = number_of(parent)
            require(parent < number, f"{in_space}, with a parent before it", parent=parent)
        return Proposal(number=number, values=values, epochs=epochs, parent=parent)

    def _values(self, given: Mapping[str, Any]) -> dict[str, Any] | None:
        """Option -> value, of the very options that are there; None where they are not all in the space."""
        try:
            values = self._keras_tuner.options(given)
            if self._keras_tuner.codes(values) != dict(given):
                return None
        except (TypeError, ValueError, IndexError, OverflowError):
            return None
        there = [parameter for parameter in self._space if parameter.is_there(values)]
        if {parameter.name for parameter in there} != set(values):
            return None
        return values if all(_takes(parameter, values[parameter.name]) for parameter in there) else None


def _value(plain: float | int | str) -> Any:
    kind = "string" if isinstance(plain, str) else "float" if isinstance(plain, float) else "int"
    return MESSAGES.Value(**{f"{kind}_value": plain})


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    return None if kind is None else getattr(value, kind)


def _takes(parameter: Any, value: Any) -> bool:
    if isinstance(parameter, Float) and isinstance(value, float):  # a logarithm there and back costs a last bit
        value = min(max(value, parameter.low), parameter.high) if _is_near(value, parameter) else value
    return parameter.takes(value)


def _is_near(value: float, parameter: Float) -> bool:
    return any(math.isclose(value, bound, rel_tol=1e-9) for bound in (parameter.low, parameter.high))
