"""The chief's decisions, with a real oracle and journal, and a clock that the tests turn."""

import json

import pytest

from base.errors import InputError, StartAgain
from tuning.cluster.chief import Chief
from tuning.cluster.results import Told
from tuning.hours import Hours
from tuning.oracles.journal import Journal
from tuning.oracles.options import OracleOptions
from tuning.oracles.oracle import Oracle
from tuning.oracles.proposal import Wait
from tuning.plan import SearchPlan
from tuning.search_directory import SearchDirectory
from tuning.space.parameters import Choice, Float
from tuning.trial import TrialResult, read_result, write_result

SPACE = (Float(name="x", low=0.0, high=1.0), Choice(name="kind", values=("a", "b")))


class Search:
    """A chief in a folder, its clock, and what it said; `restart` is a new process in the same folder."""

    def __init__(self, folder, trials=3, hours=None):
        self.folder, self.trials, self.hours = folder, trials, hours
        self.directory, self.now, self.said = SearchDirectory(folder), 0.0, []
        folder.mkdir(exist_ok=True)
        self.restart()

    def restart(self):
        oracle = OracleOptions(algorithm="random", trials=self.trials)
        plan = SearchPlan(space=SPACE, options={"seed": 5}, oracle=oracle, seed=5, data_fingerprint="abc")
        self.chief = Chief(
            plan,
            self.directory,
            Journal(self.directory.journal, Oracle(SPACE, oracle, seed=5)),
            hours=Hours(self.directory.hours, self.hours),
            silent_seconds=40.0,
            say=self.said.append,
            clock=lambda: self.now,
        )

    def after(self, seconds):
        """As time goes by: the chief looks each second."""
        for _ in range(seconds):
            self.now += 1
            self.chief.look()

    def end(self, trial_id, score):
        state = "failed" if score is None else "done"
        self.chief.end(trial_id, lambda proposal, _: Told(result=result(proposal, score=score, state=state)))

    @property
    def journal(self):
        lines = [json.loads(line) for line in self.directory.journal.read_text().splitlines()]
        return [(kind, event["number"]) for line in lines for kind, event in line.items()]


def result(proposal, **fields):
    return TrialResult(number=proposal.number, values=proposal.values, label="", **fields)


@pytest.fixture
def search(tmp_path):
    return Search(tmp_path)


def test_each_worker_has_one_trial_and_all_end(search):
    first, second = search.chief.ask("a"), search.chief.ask("b")
    assert [first.trial_id, second.trial_id] == ["1", "2"]
    assert search.chief.ask("a") is first
    search.end("1", 0.5)
    assert search.chief.ask("a").trial_id == "3"
    search.end("3", None)
    assert isinstance(search.chief.ask("a"), Wait)  # trial 2 may be lost yet
    search.end("2", 0.25)
    assert search.chief.ask("a") is None and search.chief.is_over
    assert search.chief.workers == ["b"]
    search.after(41)
    assert search.chief.workers == []
    assert {number: one.score for number, one in search.chief.results.items()} == {1: 0.5, 3: None, 2: 0.25}
    assert [one.score for one in search.directory.results()] == [0.5, 0.25, None]


def test_the_trial_of_a_silent_worker_keeps_its_number_and_goes_to_the_next_that_asks(search):
    lost = search.chief.ask("a")
    search.after(39)
    assert search.chief.running == [lost]
    search.after(1)
    assert search.chief.running == []
    again = search.chief.ask("b")
    assert again.proposal == lost.proposal and again.trial_id.startswith("1-")
    assert "trial 1 is queued again: worker a was silent for 40 s" in search.said
    assert search.journal == [("proposed", 1)]


def test_any_word_of_a_trial_is_a_sign_of_life(search):
    held = search.chief.ask("a")
    for word in (search.chief.hear, lambda trial_id: search.chief.report(trial_id, {"val_loss": 1.0}, 1)):
        for _ in range(3):
            search.after(30)
            assert word(held.trial_id) is held
    assert search.said == []


def test_a_chief_that_could_not_listen_takes_no_worker_for_lost(search):
    held = search.chief.ask("a")
    search.now += 1000
    search.chief.look()
    assert search.chief.running == [held] and search.chief.workers == ["a"]
    search.after(40)
    assert search.chief.running == []


def test_a_worker_that_is_back_before_its_trial_was_handed_out_goes_on_with_it(search):
    search.chief.ask("a")
    search.after(50)
    assert (search.chief.hear("1").proposal.number, search.chief.hear("1").worker) == (1, "a")
    assert search.chief.ask("a").proposal.number == 1
    assert search.chief.ask("b").proposal.number == 2
    search.end("1", 0.5)
    assert search.chief.results[1].score == 0.5


def test_the_first_end_with_a_score_counts_whoever_brings_it(search):
    search.chief.ask("a")
    search.after(50)
    again = search.chief.ask("b")
    assert search.chief.hear("1") is None
    search.end("1", None)  # of the worker that was lost: the other may do better
    assert search.chief.running == [again]
    search.end("1", 0.5)
    assert search.chief.running == []
    search.end(again.trial_id, 0.7)
    search.end("1", 0.9)
    assert search.chief.results[1].score == 0.5 == read_result(search.directory.trial(1)).score
    assert search.journal.count(("ended", 1)) == 1
    assert search.chief.ask("b").proposal.number == 2


def test_a_trial_that_is_given_back_goes_to_the_next_at_once(search):
    search.chief.ask("a")
    search.chief.give_back("1")
    again = search.chief.ask("b")
    assert again.proposal.number == 1
    search.chief.give_back("1")  # late
    assert search.chief.running == [again]


def test_a_restarted_chief_goes_on_with_those_that_train_and_repeats_none_that_ended(search):
    for worker in "ab":
        search.chief.ask(worker)
    search.end("1", 0.5)
    search.restart()
    assert search.chief.hear("2").proposal.number == 2
    assert search.chief.ask("a").trial_id == "3"
    search.end("2", 0.25)
    search.end("3", 0.75)
    assert search.chief.ask("a") is None
    assert [one.score for one in search.chief.results.values()] == [0.5, 0.25, 0.75]
    assert sorted(search.journal) == [(kind, number) for kind in ("ended", "proposed") for number in (1, 2, 3)]


def test_a_chief_that_was_killed_before_the_oracle_heard_of_a_result_tells_it(search):
    held = search.chief.ask("a")
    write_result(search.directory.trial(1), result(held.proposal, score=0.5, state="done"))
    search.restart()
    assert search.journal[-1] == ("ended", 1) and search.chief.ask("a").proposal.number == 2


def test_a_chief_without_workers_waits_and_says_so(search):
    search.chief.ask("a")
    search.after(100)
    assert not search.chief.is_over
    assert sum("waiting for others" in text for text in search.said) == 1


def test_a_chief_gives_up_when_nobody_has_been_there_for_too_long_and_loses_nothing(search):
    search.after(599)  # from its start on
    search.chief.ask("a")
    search.after(40 + 598)
    assert search.chief.running == [] and search.chief.workers == []
    with pytest.raises(StartAgain, match="Expected a worker within 600 s.*the same command again"):
        search.after(1)
    search.restart()
    for _ in range(30):  # a worker that trains for long, and has not told this process its name
        assert search.chief.hear("1").proposal.number == 1
        search.after(39)
    assert search.chief.workers == [] and len(search.chief.running) == 1


def test_a_chief_that_could_not_listen_gives_nobody_up(search):
    search.after(10)
    search.now += 1000
    search.chief.look()
    search.after(599)
    assert not search.chief.is_over


def test_a_search_that_is_over_ends_without_its_workers(tmp_path):
    search = Search(tmp_path, trials=1)
    search.chief.ask("a")
    search.end("1", 0.5)
    search.after(700)
    assert search.chief.is_over


def test_without_hours_left_only_lost_trials_are_handed_out(tmp_path):
    search = Search(tmp_path, trials=None, hours=1e-9)
    search.chief.look()
    assert search.chief.is_over and search.chief.ask("a") is None
    search = Search(tmp_path / "other", trials=None, hours=1.0)
    search.chief.ask("a")
    search.hours = 1e-9
    search.restart()
    assert search.chief.ask("b").proposal.number == 1
    search.end(search.chief.running[0].trial_id, 0.5)
    assert search.chief.ask("b") is None


def test_the_last_end_ends_a_search_whose_workers_have_gone(tmp_path):
    search = Search(tmp_path, trials=1)
    search.chief.ask("a")
    search.end("1", 0.5)
    search.after(41)
    assert search.chief.is_over and search.chief.workers == []


@pytest.mark.parametrize("trial_id", ["2", "x", "../1"])
def test_a_trial_that_was_never_handed_out_is_refused(search, trial_id):
    search.chief.ask("a")
    for call in (search.chief.hear, search.chief.give_back, lambda one: search.end(one, 1.0)):
        with pytest.raises(InputError, match="Expected (the id of a trial|a trial of this search)"):
            call(trial_id)
