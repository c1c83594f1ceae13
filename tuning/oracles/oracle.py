"""The oracle: proposes trials, and is told how they ended. KerasTuner's algorithms, without its Tuner."""

import math
from typing import Any

import keras_tuner
import numpy as np

from base.errors import require
from tuning.objective import objective_of
from tuning.oracles import algorithms
from tuning.oracles.hyperband import Hyperband
from tuning.oracles.keras_tuner_space import KerasTunerSpace
from tuning.oracles.options import OracleOptions
from tuning.oracles.proposal import Proposal, Wait
from tuning.space.parameters import Space

_OBJECTIVE = "score"  # KerasTuner needs a name, and no more of it than that


class Oracle:
    """Proposes trials of a space: the same ones for the same seed and the same ends of trials, in the same order.

    Any number of trials may run at the same time; no combination is proposed twice, but to go on with it (Hyperband).
    For one thread: KerasTuner's lock outlives an exception, and another thread would wait for ever.

    Args:
        space: What to search.
        options: By which algorithm, for how many trials.
        seed: Of the draws, 0 or more; neighbouring ones share none.

    Example:
        >>> oracle = Oracle(space, OracleOptions(algorithm="random", trials=20), seed=0)
        >>> while isinstance(proposal := oracle.propose(), Proposal):
        ...     oracle.tell(proposal.number, val_loss_of(proposal.values))
    """

    def __init__(self, space: Space, options: OracleOptions, *, seed: int) -> None:
        require(bool(space), "Expected a space of at least one parameter")
        self._options = options
        self._space = KerasTunerSpace(space, grid=options.algorithm == "grid")
        self._oracle = _keras_tuner_oracle(self._space, options, seed)
        self._running: dict[int, Any] = {}  # number -> KerasTuner's trial
        self._numbers: dict[str, int] = {}  # KerasTuner's id of a proposed trial -> number
        self._is_over = self._waits = False

    def propose(self) -> Proposal | Wait | None:
        """The next trial; Wait: none until a running one ends; None: none any more, the search is over.

        None says nothing about the trials that are still running.
        """
        most = self._options.trials
        return None if most is not None and len(self._numbers) >= most else self._propose()

    def repeat(self, proposal: Proposal) -> Proposal | Wait | None:
        """As `propose` where an oracle like this one proposed a trial before, however many are asked for now.

        Returns:
            The trial, of the Bayesian oracle with the values that it had then, where the space has them; all other
            oracles draw it again. What comes next is what would have come then, if the trial is the same.
        """
        if not isinstance(self._oracle, algorithms.Bayesian):
            return self._propose()
        try:
            codes = self._space.codes(proposal.values)
            self._space.options(codes)
        except (TypeError, ValueError):
            return None
        with self._oracle.repeating(codes):
            return self._propose()

    def _propose(self) -> Proposal | Wait | None:
        if self._is_over:
            return None
        if self._waits:
            return Wait()
        number = len(self._numbers) + 1
        trial = self._oracle.create_trial(str(number))
        if trial.status == "IDLE":
            self._waits = True  # until a trial ends: in a space that is nearly exhausted an answer takes a second
            return Wait()
        if trial.status == "STOPPED":
            self._is_over = True
            return None
        values = trial.hyperparameters.values
        self._running[number] = trial
        self._numbers[trial.trial_id] = number
        return Proposal(
            number=number,
            values=self._space.options(values),
            epochs=values.get("tuner/epochs"),
            parent=self._numbers.get(values.get("tuner/trial_id")),
        )

    def tell(self, number: int, score: float | None, reason: str = "") -> None:
        """Says how a proposed trial ended.

        Args:
            number: Of the trial.
            score: The objective, of several executions their mean; None, NaN and infinities: it failed.
            reason: Why it failed.

        Raises:
            InputError: No such trial is running.
        """
        require(number in self._running, "Expected the number of a running trial", number=number)
        trial = self._running.pop(number)
        self._waits = False
        if score is None or not math.isfinite(score):  # an infinite loss counts as 0 in the Bayesian oracle
            trial.status, trial.message = "FAILED", reason
        else:
            self._oracle.update_trial(trial.trial_id, {_OBJECTIVE: score})
            trial.status = "COMPLETED"
        self._oracle.end_trial(trial)


def _keras_tuner_oracle(space: KerasTunerSpace, options: OracleOptions, seed: int) -> keras_tuner.Oracle:
    common = {
        "objective": keras_tuner.Objective(_OBJECTIVE, objective_of(options.objective).better),
        "hyperparameters": space.hyperparameters,
        # KerasTuner adds 1 a draw, and takes 0 for "any seed".
        "seed": int(np.random.SeedSequence(seed).generate_state(1)[0]) or 1,
    }
    match options.algorithm:
        case "random":
            return algorithms.Random(max_trials=None, **common)
        case "grid":
            return algorithms.Grid(**common)
        case "bayesian":
            return algorithms.Bayesian(max_trials=None, **common)
        case "hyperband":
            return Hyperband(
                max_epochs=options.max_epochs,
                factor=options.hyperband_factor,
                hyperband_iterations=options.hyperband_iterations,
                **common,
            )
