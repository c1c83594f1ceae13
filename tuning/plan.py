"""What a search is: its space, the options around it, how it looks for the best."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tuning.objective import SPLIT, Objective, objective_of
from tuning.oracles.options import OracleOptions
from tuning.oracles.proposal import Proposal
from tuning.oracles.rungs import most_trials
from tuning.space.grid import on_grid
from tuning.space.parameters import Space
from tuning.space.space import combinations, describe, searched, settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """Everything that a search's result depends on, and how long it goes on.

    Attributes:
        space: What is searched.
        options: Every option of training that is not searched, by name; `data` is one of them.
        oracle: By which algorithm, for what, how many trials.
        executions: How often each combination is trained, with seeds of its own.
        seed: Of the draws; of the first execution of each trial it is the run's, too.
        data_fingerprint: Of the data set.
        files: Fingerprints of other files that its numbers depend on: those of a model of one's own, of weights.
        neutral: Names of options that change no number: a search goes on under any values of theirs.
    """

    space: Space
    options: Mapping[str, Any]
    oracle: OracleOptions
    executions: int = 1
    seed: int
    data_fingerprint: str
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    neutral: frozenset[str] = frozenset()

    @property
    def objective(self) -> Objective:
        """What is to become better."""
        return objective_of(self.oracle.objective)

    @property
    def judges_last(self) -> bool:
        """Whether a run's last epoch counts, and not its best."""
        return self.options.get("final") == "last"

    @property
    def trials(self) -> int | None:
        """How many there will be at most; None: not known."""
        oracle = self.oracle
        found = combinations(on_grid(self.space) if oracle.algorithm == "grid" else self.space)
        if oracle.algorithm == "hyperband":
            iterations = oracle.hyperband_iterations
            found = most_trials(oracle.max_epochs, oracle.hyperband_factor, iterations=iterations, combinations=found)
        return min((count for count in (oracle.trials, found) if count is not None), default=None)

    def identity(self) -> dict[str, Any]:
        """What `search.yaml` holds: two searches with equal identities are the same search, longer or shorter."""
        left_out = {*searched(self.space), *self.neutral, "data"}
        oracle = dataclasses.asdict(self.oracle)
        del oracle["trials"]
        return {
            **{name: value for name, value in oracle.items() if value is not None},
            "executions": self.executions,
            "data_fingerprint": self.data_fingerprint,
            **self.files,
            "searched": describe(self.space),
            # The data set may be moved: its fingerprint says which it is.
            **{name: value for name, value in self.options.items() if name not in left_out},
        }

    def recipe(self, proposal: Proposal, execution: int = 1, parent_run: str | None = None) -> dict[str, Any]:
        """The recipe of a trial's execution; it looks at no split but `train` and `validation`.

        Args:
            proposal: What is to be trained.
            execution: From 1.
            parent_run: The folder of the run that it goes on from.
        """
        options = {**self.options, **settings(self.space, proposal.values)}
        options |= {"evaluate_on": "none" if self.objective.is_of_epochs else SPLIT}
        options |= {"seed": options["seed"] + execution - 1, "start_from": parent_run}
        if proposal.epochs is not None:
            options |= {"epochs": proposal.epochs, "schedule_length": self._longest(options)}
        return _given(options)

    def best_recipe(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The recipe of these hyperparameters for the full duration, for any data set."""
        recipe = {**self.options, **settings(self.space, values)}
        if self.oracle.max_epochs is not None:
            recipe["epochs"] = self.oracle.max_epochs
        recipe.pop("data")
        return _given(recipe)

    def _longest(self, options: Mapping[str, Any]) -> str | None:
        """The schedule's length: of the longest rung, so that it is the same in all that one trial goes through."""
        constant = options["schedule"] == "constant" and float(options["warmup"].split()[0]) == 0
        return None if constant else options["schedule_length"] or f"{self.oracle.max_epochs} epochs"


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Without the options that are left open: their absence from a recipe says the same.

    The epochs go where stages say how long it is trained.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if given.get("stages"):
        given.pop("epochs", None)
    return given
