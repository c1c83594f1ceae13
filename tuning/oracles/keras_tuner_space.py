"""A space as KerasTuner sees it, and its values as options again.

KerasTuner takes no choice between values of several types or None, makes integers of booleans, and loses the value of a
name that stands under two conditions. So it gets choices as places among the values, and each parameter under a key of
its own.
"""

import contextlib
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import keras_tuner

from base.errors import require
from tuning.space.grid import on_grid
from tuning.space.parameters import Boolean, Choice, Condition, Float, Parameter, Space


class KerasTunerSpace:
    """A space as KerasTuner's hyperparameters.

    Args:
        space: What to search.
        grid: Whether it is for a grid (`tuning.space.grid`).

    Raises:
        InputError: A condition on what does not stand before it.
    """

    def __init__(self, space: Space, *, grid: bool = False) -> None:
        self._variables: list[_Variable] = []
        for parameter in on_grid(space) if grid else space:
            values = _listed(parameter)
            for scopes in _scopes(parameter.when, self._variables):
                self._variables.append(_Variable(parameter=parameter, values=values, scopes=scopes))
        self.hyperparameters = keras_tuner.HyperParameters()
        for variable in self._variables:
            variable.add_to(self.hyperparameters)

    def options(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """KerasTuner's values as option -> value, in the space's order."""
        return {
            variable.parameter.name: variable.decode(values[variable.key])
            for variable in self._variables
            if variable.key in values
        }

    def codes(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Option -> value as KerasTuner's values: `options` the other way round.

        Raises:
            ValueError: An option has not that value.
        """
        codes: dict[str, Any] = {}
        for variable in self._variables:
            name = variable.parameter.name
            if name in options and all(codes.get(key) in wanted for key, wanted in variable.scopes):
                codes[variable.key] = variable.encode(options[name])
        return codes


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Variable:
    """A parameter under one chain of conditions."""

    parameter: Parameter
    values: tuple[Any, ...] | None  # KerasTuner sees places in it; None: the number itself
    scopes: tuple[tuple[str, tuple[Any, ...]], ...]  # ancestors, the farthest first: key, KerasTuner's values of it

    @property
    def key(self) -> str:
        return self.parameter.name + "".join(f" where {key} in {list(codes)}" for key, codes in self.scopes)

    def add_to(self, hyperparameters: keras_tuner.HyperParameters) -> None:
        with contextlib.ExitStack() as stack:
            for key, codes in self.scopes:
                stack.enter_context(hyperparameters.conditional_scope(key, list(codes)))
            parameter = self.parameter
            if self.values is not None:
                hyperparameters.Choice(self.key, list(range(len(self.values))))
                return
            sampling = "log" if parameter.log else "linear"
            if isinstance(parameter, Float):
                hyperparameters.Float(self.key, parameter.low, parameter.high, sampling=sampling)
            else:
                step = None if parameter.log and parameter.step == 1 else parameter.step
                hyperparameters.Int(self.key, parameter.low, parameter.high, step=step, sampling=sampling)

    def decode(self, code: Any) -> Any:
        if self.values is not None:
            return self.values[code]
        return float(code) if isinstance(self.parameter, Float) else int(code)  # NumPy's, from the Bayesian oracle

    def encode(self, value: Any) -> Any:
        if self.values is None:
            return value
        return [repr(one) for one in self.values].index(repr(value))  # 1, 1.0 and True are three values

    def codes(self, wanted: tuple[Any, ...]) -> tuple[Any, ...]:
        """What KerasTuner's values are where the parameter has one of `wanted`."""
        if self.values is None:
            return wanted
        return tuple(code for code, value in enumerate(self.values) if value in wanted) or (-1,)  # -1: never


def _listed(parameter: Parameter) -> tuple[Any, ...] | None:
    if isinstance(parameter, Boolean):
        return (False, True)
    return parameter.values if isinstance(parameter, Choice) else None


def _scopes(when: Condition | None, before: Iterable[_Variable]) -> list[tuple[tuple[str, tuple[Any, ...]], ...]]:
    """The chains of conditions under which a parameter stands: one for each variable that its parent is."""
    if when is None:
        return [()]
    parents = [variable for variable in before if variable.parameter.name == when.name]
    require(bool(parents), "Expected a condition on a parameter that stands before", condition=when.name)
    return [(*parent.scopes, (parent.key, parent.codes(when.values))) for parent in parents]
