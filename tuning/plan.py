"""What a search is: its space, the options around it, how long it goes on."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tuning.parameters import Space
from tuning.space import describe, searched, settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """Everything that a search's result depends on."""

    space: Space
    options: Mapping[str, Any]  # every option of training that is not searched, by name; `data` is one of them
    trials: int
    seed: int
    data_fingerprint: str

    def identity(self) -> dict[str, Any]:
        """What `search.yaml` holds: two searches with equal identities are the same search."""
        open_options = searched(self.space)
        return {
            "trials": self.trials,
            "data_fingerprint": self.data_fingerprint,
            "searched": describe(self.space),
            **{name: value for name, value in self.options.items() if name not in open_options},
        }

    def trial_recipe(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The recipe of one trial; it looks at no split but `train` and `validation`."""
        return _given({**self.options, **settings(self.space, values), "evaluate_on": "none"})

    def best_recipe(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The recipe of these hyperparameters, for any data set."""
        recipe = _given({**self.options, **settings(self.space, values)})
        recipe.pop("data")
        return recipe


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Without the options that are left open: their absence from a recipe says the same."""
    return {name: value for name, value in options.items() if value is not None}
