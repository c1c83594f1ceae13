"""How a search looks for the best: the algorithm and the objective, as options; free of TensorFlow and KerasTuner."""

import dataclasses
from typing import Literal

from base.errors import require
from base.options import option
from tuning.objective import objective_of

ALGORITHMS = ("random", "grid", "bayesian", "hyperband")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OracleOptions:
    """Which algorithm proposes trials, how many, and what for."""

    algorithm: Literal[ALGORITHMS] = option("random", "how trials are proposed")
    objective: str = option(
        "val_loss",
        "the metric that is to become better: val_loss, val_accuracy, or one of evaluation's, as macro_roc_auc",
    )
    trials: int | None = option(
        None, "how many trials at most; a trial is a combination of hyperparameters", neutral=True
    )
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
        objective_of(self.objective)
