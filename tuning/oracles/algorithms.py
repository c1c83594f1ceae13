"""KerasTuner's oracles, with what a search of parallel, failing, repeatable trials needs of them.

They are theirs but for what each class says. Measured and read with KerasTuner 1.4.8.
"""

import copy
import itertools
import math
import warnings
from typing import Any

import keras_tuner
import numpy as np
import scipy.optimize
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

INITIAL_POINTS = 10  # KerasTuner's 3 a dimension are 48 random trials in a space of 16
POINTS, STARTS = 1000, 10  # where the least bound is looked for, and sought from
CANDIDATES = 64  # combinations instead of one that was tried already
_COLLISIONS = 1000  # KerasTuner gives a space up after 20, while a tenth of it is untried as often as not


class _Mended:
    """Writes no files, and draws from spaces that are nearly exhausted.

    What KerasTuner would write is no help: a reloaded Bayesian oracle, for one, draws its random numbers again.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(max_consecutive_failed_trials=math.inf, **arguments)  # three end the search otherwise
        self._max_collisions = _COLLISIONS
        self.verbose = 0

    def save(self) -> None:
        """Nothing: the journal is the record."""

    def _save_trial(self, trial: Any) -> None:
        """Nothing: the journal is the record."""


class Random(_Mended, keras_tuner.oracles.RandomSearchOracle):
    """Random search."""


class Grid(_Mended, keras_tuner.oracles.GridSearchOracle):
    """The whole grid, the last parameter fastest, in one order whenever the trials end.

    KerasTuner's waits for a trial's end before it looks for the next combination, in case the trial brought new
    parameters: with any number of workers, one or two are busy.
    """

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """As KerasTuner's."""
        response = super().populate_space(trial_id)
        if response["status"] == "RUNNING":
            self._populate_next.append(trial_id)
        return response


class Bayesian(_Mended, keras_tuner.oracles.BayesianOptimizationOracle):
    """A Gaussian process of the score, and its lower confidence bound (of what is to be small).

    Where KerasTuner's proposes a combination again, this one proposes the best of untried random ones. A failed trial
    has the worst score so far: KerasTuner's forgets it, and tries its neighbourhood again. Running trials have the
    mean and one deviation, by a process of those that have ended: KerasTuner's is one proposal behind, and none at
    first. The least bound is sought from the best of many points, with gradients in one call: 0.1 s of processor time
    a proposal with 8 floats and 10 to 15 trials, where KerasTuner's 10,000 calls of a point each took 2.7 to 6.2 s.
    """

    def __init__(self, **arguments: Any) -> None:
        points = max(3, min(INITIAL_POINTS, 3 * len(arguments["hyperparameters"].space)))
        super().__init__(num_initial_points=points, **arguments)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """As KerasTuner's."""
        completed = sum(trial.status == "COMPLETED" for trial in self.trials.values())
        if completed < self.num_initial_points:
            return self._random_populate_space()
        # One thread: the same bits whatever the number of cores; and these matrices are too small for more.
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore", ConvergenceWarning)  # of a kernel's length at its bound
            self.gpr.fit(*self._vectorize_trials())
            values = self._vector_to_values(self._least())
            return self._best_untried() if self._duplicate(values) else {"status": "RUNNING", "values": values}

    def _bound(self, x: np.ndarray) -> np.ndarray:
        mean, deviation = self.gpr.predict(x, return_std=True)
        return mean - self.beta * deviation

    def _least(self) -> np.ndarray:
        """The point of the unit cube where the bound is least, as far as can be found."""
        dimensions = len(self.hyperparameters.space)
        points = self._random_state.uniform(size=(POINTS, dimensions))
        starts = points[np.argsort(self._bound(points), kind="stable")[:STARTS]]
        steps = 1e-6 * np.eye(dimensions)

        def value_and_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
            values = self._bound(np.concatenate([x[None], x + steps]))
            return values[0], (values[1:] - values[0]) / 1e-6

        bounds = [(0, 1)] * dimensions
        found = [scipy.optimize.minimize(value_and_gradient, x, jac=True, bounds=bounds) for x in starts]
        return min(found, key=lambda result: result.fun).x

    def _best_untried(self) -> dict[str, Any]:
        candidates = []
        while len(candidates) < CANDIDATES and (values := self._random_values()) is not None:
            candidates.append(values)
        if not candidates:
            return {"status": "STOPPED", "values": None}
        return {"status": "RUNNING", "values": candidates[int(np.argmin(self._bound(self._vectors(candidates))))]}

    def _vectorize_trials(self) -> tuple[np.ndarray, np.ndarray]:
        sign = -1 if self.objective.direction == "max" else 1
        done = {name: [trial for trial in self.trials.values() if trial.status == name] for name in _STATES}
        scores = [sign * trial.score for trial in done["COMPLETED"]]
        scores += [max(scores)] * len(done["FAILED"])
        x, y = self._vectors(_values(done["COMPLETED"] + done["FAILED"])), np.array(scores)
        if done["RUNNING"]:
            running = self._vectors(_values(done["RUNNING"]))
            mean, deviation = self.gpr.fit(x, y).predict(running, return_std=True)
            x, y = np.concatenate([x, running]), np.concatenate([y, mean + deviation])
        return x, y

    def _vectors(self, combinations: list[dict[str, Any]]) -> np.ndarray:
        space = self.hyperparameters.space
        return np.array(
            [[hp.value_to_prob(values.get(hp.name, hp.default)) for hp in space] for values in combinations]
        )

    def _vector_to_values(self, vector: np.ndarray) -> dict[str, Any]:
        # At 1.0 KerasTuner makes `high + 1` of an integer on a logarithmic scale.
        return super()._vector_to_values(np.minimum(vector, 1 - 1e-9))


_STATES = ("COMPLETED", "FAILED", "RUNNING")


def _values(trials: list[Any]) -> list[dict[str, Any]]:
    return [trial.hyperparameters.values for trial in trials]


class Hyperband(_Mended, keras_tuner.oracles.HyperbandOracle):
    """Hyperband (Li et al. 2018) by asynchronous rungs.

    A failed trial has the worst score that there is, so that its rung fills up: KerasTuner's waits for it for ever, and
    the next rungs stay short. Where too few succeed for the next rung, failed ones fill it, without being proposed.

    A call that starts no trial changes nothing: what is proposed then depends on the trials that were started and
    ended, and not on how often somebody asked in between.
    """

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """As KerasTuner's."""
        before = self._seed_state, copy.deepcopy(self._brackets), self._current_bracket, self._current_iteration
        response = super().populate_space(trial_id)
        while self._goes_on_from_failure(response):
            self._fill_place(trial_id, response["values"]["tuner/trial_id"])
            response = super().populate_space(trial_id)
        if response["status"] != "RUNNING":
            self._seed_state, self._brackets, self._current_bracket, self._current_iteration = before
        return response

    def _goes_on_from_failure(self, response: dict[str, Any]) -> bool:
        parent = (response.get("values") or {}).get("tuner/trial_id")
        return parent is not None and math.isinf(self.trials[parent].score)

    def _fill_place(self, trial_id: str, failed_id: str) -> None:
        """Puts a failed trial where one was to go on from it."""
        for bracket in self._brackets:
            for place in itertools.chain(*bracket["rounds"]):
                if place["id"] == trial_id:
                    place["id"] = failed_id

    def end_trial(self, trial: Any) -> None:
        """As KerasTuner's."""
        if trial.status == "FAILED":
            worst = -math.inf if self.objective.direction == "max" else math.inf
            self.update_trial(trial.trial_id, {self.objective.name: worst})
            trial.status = "COMPLETED"
        super().end_trial(trial)
