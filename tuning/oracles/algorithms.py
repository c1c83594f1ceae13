"""KerasTuner's oracles but Hyperband, with what a search of parallel, failing, repeatable trials needs of them.

They are theirs but for what each class says. Measured and read with KerasTuner 1.4.8.
"""

import contextlib
import math
import warnings
from collections.abc import Iterator
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


class Mended:
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


class Random(Mended, keras_tuner.oracles.RandomSearchOracle):
    """Random search."""


class Grid(Mended, keras_tuner.oracles.GridSearchOracle):
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


class Bayesian(Mended, keras_tuner.oracles.BayesianOptimizationOracle):
    """A Gaussian process of the score, and its lower confidence bound (of what is to be small).

    Where KerasTuner's proposes a combination again, this one proposes the best of untried random ones. A failed trial
    has the worst score so far: KerasTuner's forgets it, and tries its neighbourhood again. Running trials have the
    mean and one deviation, by a process of those that have ended: KerasTuner's is one proposal behind, and none at
    first. The least bound is sought from the best of many points, with gradients in one call: 0.1 s of processor time
    a proposal with 8 floats and 10 to 15 trials, where KerasTuner's 10,000 calls of a point each took 2.7 to 6.2 s.

    What was proposed before is repeated with the values that it had, without a process: it draws just as many random
    numbers, and nothing else outlives a proposal. So the next proposal is, on the same machine, the same bit for bit.
    """

    _repeated: dict[str, Any] | None = None  # KerasTuner's values of the next trial

    def __init__(self, **arguments: Any) -> None:
        points = max(3, min(INITIAL_POINTS, 3 * len(arguments["hyperparameters"].space)))
        super().__init__(num_initial_points=points, **arguments)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """As KerasTuner's."""
        completed = sum(trial.status == "COMPLETED" for trial in self.trials.values())
        is_random = completed < self.num_initial_points
        drawn = self._random_populate_space() if is_random else self._points()
        if self._repeated is not None:
            return {"status": "RUNNING", "values": self._repeated}
        return drawn if is_random else self._by_process(drawn)

    @contextlib.contextmanager
    def repeating(self, values: dict[str, Any]) -> Iterator[None]:
        """What is proposed inside has these values (KerasTuner's), which it had before."""
        self._repeated = values
        try:
            yield
        finally:
            self._repeated = None

    def _by_process(self, points: np.ndarray) -> dict[str, Any]:
        # One thread: the same bits whatever the number of cores; and these matrices are too small for more.
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore", ConvergenceWarning)  # of a kernel's length at its bound
            self.gpr.fit(*self._vectorize_trials())
            values = self._vector_to_values(self._least(points))
            return self._best_untried() if self._duplicate(values) else {"status": "RUNNING", "values": values}

    def _bound(self, x: np.ndarray) -> np.ndarray:
        mean, deviation = self.gpr.predict(x, return_std=True)
        return mean - self.beta * deviation

    def _points(self) -> np.ndarray:
        return self._random_state.uniform(size=(POINTS, len(self.hyperparameters.space)))

    def _least(self, points: np.ndarray) -> np.ndarray:
        """The point of the unit cube where the bound is least, as far as can be found from some of `points`."""
        dimensions = points.shape[1]
        starts = points[np.argsort(self._bound(points), kind="stable")[:STARTS]]
        steps = 1e-6 * np.eye(dimensions)

        def value_and_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
            values = self._bound(np.concatenate([x[None], x + steps]))
            return values[0], (values[1:] - values[0]) / 1e-6

        bounds = [(0, 1)] * dimensions
        found = [scipy.optimize.minimize(value_and_gradient, x, jac=True, bounds=bounds) for x in starts]
        return min(found, key=lambda result: result.fun).x

    def _best_untried(self) -> dict[str, Any]:
        # Draws of this trial's own: a trial that is repeated does not know whether these were needed.
        self._seed_state = int(np.random.SeedSequence([self.seed, len(self.trials)]).generate_state(1)[0])
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
