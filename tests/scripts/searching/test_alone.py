"""Where trials run, and what happens to them when the search itself fails."""

from types import SimpleNamespace

import pytest
from rich.console import Console

from base.errors import InputError
from models.training.options import HardwareOptions
from pipelines.reading.options import ReaderOptions
from scripts.searching import alone, final_training
from tuning.processes.machine import Machine
from tuning.search_directory import SearchDirectory
from tuning.search_options import ParallelOptions


@pytest.fixture
def places(monkeypatch):
    """The places on a machine of four cores, for what the user gives."""

    def deal(*, gpus=(), parallel: dict | None = None, decode_threads: int | None = None, **hardware) -> tuple:
        monkeypatch.setattr(alone, "find_machine", lambda: Machine(gpus=gpus, cores=(0, 1, 2, 3)))
        options = {"parallel": ParallelOptions(**parallel or {}), "hardware": HardwareOptions(**hardware)}
        options["reading"] = ReaderOptions(memory_budget=4000, decode_threads=decode_threads)
        return alone.slots_for(options)

    return deal


def test_thread_counts_that_are_given_are_those_of_every_place(places):
    dealt = places(parallel={"parallel": 2})
    own = places(parallel={"parallel": 2}, intra_op_threads=3, decode_threads=5)
    assert [slot.options["intra_op_threads"] for slot in dealt] == [2, 2]
    assert [slot.options for slot in own] == [
        {"intra_op_threads": 3, "inter_op_threads": 2, "decode_threads": 5, "memory_budget": 2000}
    ] * 2


def test_on_gpus_the_places_say_how_a_trial_uses_them(places):
    gpus = ("0", "1", "2", "3")
    pairs = {"devices_per_trial": 2}
    assert len(places(gpus=gpus, strategy="single", replicas=1)) == 4
    assert len(places(gpus=gpus, strategy="mirrored", replicas=2, parallel=pairs)) == 2
    assert len(places(strategy="mirrored", replicas=2)) == 4  # logical devices of a CPU
    with pytest.raises(InputError, match=r"Expected --devices-per-trial .*\. Received: strategy='mirrored'\."):
        places(gpus=gpus, strategy="mirrored")
    with pytest.raises(InputError, match=r"Received: replicas=4\."):
        places(gpus=gpus, strategy="mirrored", replicas=4, parallel=pairs)


class Processes:
    """Stands for a search, or for final trainings: it yields what can't be printed."""

    def __init__(self, *_, **__) -> None:
        self.ended = False
        self.kept = self._results()  # a generator that is still held by somebody does not end by itself
        self.run = self.scores = lambda: self.kept

    def _results(self):
        try:
            while True:
                yield None, None
        finally:
            self.ended = True


def test_whatever_fails_in_between_the_trials_end_with_it(tmp_path):
    search = Processes()
    plan = SimpleNamespace(objective=None, trials=None)
    with pytest.raises(AttributeError):  # None can't print
        alone.run_trials(search, SearchDirectory(tmp_path), plan, None)
    assert search.ended


def test_whatever_fails_in_between_the_final_trainings_end_with_it(tmp_path, monkeypatch):
    trainings = Processes()
    monkeypatch.setattr(final_training, "FinalTraining", lambda *_, **__: trainings)
    plan = SimpleNamespace(objective=None, judges_last=False, neutral=frozenset())
    places = [SimpleNamespace(options={}, describe=lambda: "a core")]
    with pytest.raises(AttributeError):  # None has no score
        final_training._train(SearchDirectory(tmp_path), plan, [], places, 0, Console(quiet=True), [], {})
    assert trainings.ended
