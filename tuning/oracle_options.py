"""How a search looks for the best: the algorithm and the objective, as options; free of TensorFlow and KerasTuner."""

import dataclasses
import re
from typing import Literal

from base.errors import require
from base.options import option

ALGORITHMS = ("random", "grid", "bayesian", "hyperband")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OracleOptions:
    """Which algorithm proposes trials, how many, and what for."""

    algorithm: Literal[ALGORITHMS] = option("random", "how trials are proposed")
    objective: str = option("val_loss", "the metric that is to become better")
    direction: Literal["auto", "min", "max"] = option("auto", "whether a lower or a higher objective is better")
    trials: int | None = option(None, "how many trials at most; a trial is a combination of hyperparameters")
    max_epochs: int | None = option(None, "hyperband: how long the trials of the last rung are trained")
    hyperband_factor: int = option(3, "hyperband: one in so many trials goes on to the next rung, and trains longer")
    hyperband_iterations: int = option(1, "hyperband: how often it goes through all its brackets")

    def __post_init__(self) -> None:
        require(self.algorithm in ALGORITHMS, f"Expected --algorithm {', '.join(ALGORITHMS)}", algorithm=self.algorithm)
        hyperband = self.algorithm == "hyperband"
        require(self.trials is None or self.trials >= 1, "Expected --trials of at least 1", trials=self.trials)
        require(
            hyperband == (self.max_epochs is not None),
            "Expected --max-epochs with --algorithm hyperband, and only there",
            algorithm=self.algorithm,
            max_epochs=self.max_epochs,
        )
        require(
            self.max_epochs is None or self.max_epochs >= 1,
            "Expected --max-epochs of at least 1",
            max_epochs=self.max_epochs,
        )
        require(
            self.hyperband_factor >= 2,
            "Expected --hyperband-factor of at least 2",
            hyperband_factor=self.hyperband_factor,
        )
        require(
            self.hyperband_iterations >= 1,
            "Expected --hyperband-iterations of at least 1",
            hyperband_iterations=self.hyperband_iterations,
        )
        require(
            self.direction != "auto" or _direction(self.objective) is not None,
            "Expected an --objective whose name says whether less or more of it is better",
            objective=self.objective,
            do="Give --direction min or max.",
        )

    @property
    def better(self) -> Literal["min", "max"]:
        """Whether a lower or a higher objective is better."""
        return self.direction if self.direction != "auto" else _direction(self.objective)


def _direction(objective: str) -> Literal["min", "max"] | None:
    """What a metric's name says.

    Example:
        >>> _direction("val_accuracy"), _direction("val_loss"), _direction("val_custom")
        ('max', 'min', None)
    """
    words = set(re.split(r"[_\W]+", objective.lower()))
    if words & {"loss", "error", "ece", "nll", "brier", "entropy", "mse", "mae"}:
        return "min"
    if words & {"accuracy", "acc", "auc", "top", "f1", "precision", "recall", "kappa", "map"}:
        return "max"
    return None
