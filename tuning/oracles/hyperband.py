"""KerasTuner's Hyperband, with what a search of parallel, failing, repeatable trials of finite spaces needs of it."""

import copy
import math
import random
from typing import Any

import keras_tuner

from tuning.oracles.algorithms import Mended

Bracket = dict[str, Any]  # bracket_num: the rungs after its first; rounds: a list of places a rung; sizes: of the rungs


class Hyperband(Mended, keras_tuner.oracles.HyperbandOracle):
    """Hyperband (Li et al. 2018) by asynchronous rungs.

    A failed trial has the worst score that there is, so that its rung fills up: KerasTuner's waits for it for ever, and
    the next rungs stay short. Where too few succeed for the next rung, failed ones fill it, without being proposed.

    Where no new combination is left, KerasTuner's ends, with rungs and brackets to come. Here a bracket begins with new
    combinations as long as there are any; then with those that earlier brackets have dropped before they were trained
    as long as this one's first rung. Later brackets are there to ask whether short trials mislead, and the dropped ones
    are whom to ask it of; they are drawn at random, and go on from their checkpoints, so that nothing is trained twice.
    Where these don't suffice, either, all rungs of the bracket are smaller in proportion, the last one never empty.

    A call that starts no trial changes nothing: what is proposed then depends on the trials that were started and
    ended, and not on how often somebody asked in between.
    """

    _is_exhausted = False

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """As KerasTuner's."""
        before = self._seed_state, copy.deepcopy(self._brackets), self._current_bracket, self._current_iteration
        values = self._next(trial_id)
        if values is not None:
            return {"status": "RUNNING", "values": values}
        self._seed_state, self._brackets, self._current_bracket, self._current_iteration = before
        return {"status": "IDLE" if self.ongoing_trials else "STOPPED"}

    def end_trial(self, trial: Any) -> None:
        """As KerasTuner's."""
        if trial.status == "FAILED":
            worst = -math.inf if self.objective.direction == "max" else math.inf
            self.update_trial(trial.trial_id, {self.objective.name: worst})
            trial.status = "COMPLETED"
        super().end_trial(trial)

    def _next(self, trial_id: str) -> dict[str, Any] | None:
        while True:
            self._remove_completed_brackets()
            for bracket in self._brackets:
                values = self._begin(bracket, trial_id) or self._go_on(bracket, trial_id)
                if values is not None:
                    return values
            if self._brackets and _is_open(self._brackets[-1], 0):
                return None  # until earlier brackets have dropped what this one may take up
            if self._current_bracket == 0 and self._current_iteration + 1 == self.hyperband_iterations:
                return None
            self._increment_bracket_num()
            self._start_new_bracket()

    def _begin(self, bracket: Bracket, trial_id: str) -> dict[str, Any] | None:
        """A trial of the bracket's first rung; where nothing is left for that, the bracket is shortened."""
        if not _is_open(bracket, 0):
            return None
        values = self._new_values()
        if values is not None:
            return self._placed(bracket, 0, trial_id, values)
        dropped, others_may_be = self._shorter(self._get_epochs(bracket["bracket_num"], 0))
        if dropped:
            parent = dropped[random.Random(self._seed_state).randrange(len(dropped))]
            self._seed_state += 1
            return self._placed(bracket, 0, trial_id, _from(parent))
        if not others_may_be:
            begun, whole = len(bracket["rounds"][0]), bracket["sizes"][0]
            bracket["sizes"] = [-(-begun * size // whole) for size in bracket["sizes"]]
        return None

    def _go_on(self, bracket: Bracket, trial_id: str) -> dict[str, Any] | None:
        """A trial that goes on from the best of a rung, of which as many have ended as will not go on, and one more."""
        sign, rounds, sizes = -1 if self.objective.direction == "max" else 1, bracket["rounds"], bracket["sizes"]
        for number in range(1, len(rounds)):
            while _is_open(bracket, number):
                taken = {place["past_id"] for place in rounds[number]}
                trials = [self.trials[place["id"]] for place in rounds[number - 1] if place["id"] not in taken]
                ended = [trial for trial in trials if trial.status == "COMPLETED"]
                if len(ended) <= sizes[number - 1] - sizes[number]:
                    break
                best = min(ended, key=lambda trial: sign * trial.score)
                if not _has_failed(best):
                    return self._placed(bracket, number, trial_id, _from(best))
                rounds[number].append({"past_id": best.trial_id, "id": best.trial_id})
        return None

    def _placed(self, bracket: Bracket, number: int, trial_id: str, values: dict[str, Any]) -> dict[str, Any]:
        """The values of a trial that gets a place in a rung."""
        bracket["rounds"][number].append({"past_id": values.get("tuner/trial_id"), "id": trial_id})
        epochs = self._get_epochs(bracket["bracket_num"], number)
        hints = {"epochs": epochs, "initial_epoch": values.get("tuner/epochs", 0)}
        hints |= {"bracket": bracket["bracket_num"], "round": number}
        return {**values, **{f"tuner/{name}": value for name, value in hints.items()}}

    def _new_values(self) -> dict[str, Any] | None:
        """Of a combination that was not tried; None: none is found any more.

        Where none is found the seed stays: a search that goes on from its journal was not asked as often, and finds
        none with that seed, either.
        """
        if self._is_exhausted:
            return None
        seed = self._seed_state
        values = self._random_values()
        if values is None:
            self._seed_state, self._is_exhausted = seed, True
        return values

    def _shorter(self, epochs: int) -> tuple[list[Any], bool]:
        """The longest trials of combinations that were dropped before so many epochs, and whether more may be yet."""
        longest = {self._id_to_hash[trial.trial_id]: trial for trial in self.trials.values()}
        undecided = {
            place["id"]
            for bracket in self._brackets
            for number, places in enumerate(bracket["rounds"][:-1])
            if _is_open(bracket, number + 1)
            for place in places
        }
        short = [
            trial
            for trial in longest.values()
            if trial.hyperparameters.values["tuner/epochs"] < epochs and not _has_failed(trial)
        ]
        dropped = [trial for trial in short if trial.trial_id not in undecided]
        return dropped, len(dropped) < len(short)

    def _start_new_bracket(self) -> None:
        super()._start_new_bracket()
        bracket = self._brackets[-1]
        bracket["sizes"] = [self._get_size(bracket["bracket_num"], number) for number in range(len(bracket["rounds"]))]

    def _remove_completed_brackets(self) -> None:
        self._brackets = [bracket for bracket in self._brackets if _is_open(bracket, -1)]

    def _compute_values_hash(self, values: dict[str, Any]) -> str:
        return super()._compute_values_hash({name: values[name] for name in values if name != "tuner/trial_id"})


def _is_open(bracket: Bracket, number: int) -> bool:
    return len(bracket["rounds"][number]) < bracket["sizes"][number]


def _from(parent: Any) -> dict[str, Any]:
    return {**parent.hyperparameters.values, "tuner/trial_id": parent.trial_id}


def _has_failed(trial: Any) -> bool:
    return trial.score is not None and math.isinf(trial.score)
