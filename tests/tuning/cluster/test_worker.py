"""A worker's journal, asked as `Search` asks it, of a chief on loopback."""

import dataclasses
import json
import threading
import time

import pytest

from base.errors import InputError
from tests.processes import wait_until
from tests.tuning.cluster import chiefs
from tests.tuning.cluster.chiefs import SILENT_SECONDS
from tuning.cluster.client import ChiefClient
from tuning.cluster.worker import RemoteJournal
from tuning.curves import rows_of
from tuning.oracles.options import OracleOptions
from tuning.oracles.proposal import Proposal, Wait
from tuning.plan import SearchPlan
from tuning.search_directory import SearchDirectory
from tuning.space.parameters import Choice
from tuning.trial import Execution, TrialResult, write_result

SPACE = (Choice(name="blocks", values=(1, 2, 3, 4)), Choice(name="units", values=(32, 64)))
OPTIONS = OracleOptions(algorithm="random", trials=3)


def plan_of(space=SPACE, options=OPTIONS):
    fixed = {"seed": 0, "data": "/a", "epochs": 4, "schedule": "constant", "warmup": "0"}
    return SearchPlan(space=space, options=fixed, oracle=options, seed=0, data_fingerprint="abc")


def serving(folder, plan=None, port=0):
    return chiefs.serving(folder, plan or plan_of(), port)


def journal_of(address, folder, slots=1, plan=None, **options):
    chief = ChiefClient(address)
    options = {"silent_seconds": SILENT_SECONDS, **options}
    return RemoteJournal(chief, plan or plan_of(), SearchDirectory(folder), str(folder), slots, **options)


def end(journal, folder, proposal, score=0.5, **fields):
    """What `Search` does at a trial's end."""
    execution = Execution(seed=3, score=score, epoch=2, metrics={"val_loss": score} if score else {}, seconds=7.5)
    state = "failed" if score is None else "done"
    result = TrialResult(
        number=proposal.number, values=proposal.values, label="", state=state, score=score, executions=(execution,)
    )
    write_result(SearchDirectory(folder).trial(proposal.number), result)
    journal.tell(proposal.number, score, "")
    return execution


def test_a_worker_with_two_slots_searches_to_the_end_and_the_chief_has_its_results(tmp_path):
    with serving(tmp_path / "chief") as (chief, address, thread):
        with journal_of(address, tmp_path / "worker", slots=2) as journal:
            first, second = journal.propose(), journal.propose()
            assert [first.number, second.number] == [1, 2]
            execution = end(journal, tmp_path / "worker", first, score=0.1 + 0.2)
            third = journal.propose()
            end(journal, tmp_path / "worker", second, score=None)
            assert isinstance(journal.propose(), Wait)
            end(journal, tmp_path / "worker", third)
            assert journal.propose() is None
        thread.join(timeout=1.5)  # both slots' names were told: nothing is waited for
        assert not thread.is_alive()
    assert chief.results[1].executions == (dataclasses.replace(execution, worker=str(tmp_path / "worker")),)
    assert chief.results[1].score == 0.1 + 0.2
    assert chief.results[2].score is None
    assert [one.values for one in chief.results.values()] == [one.values for one in (first, second, third)]
    assert SearchDirectory(tmp_path / "chief").results() == [chief.results[number] for number in (1, 2, 3)]


def test_the_chief_has_the_curves_of_what_its_workers_trained(tmp_path):
    rows = [{"epoch": 1, "val_loss": 0.75, "norms": {"a": 1.0}}, {"epoch": 2, "val_loss": None, "accuracy": 0.5}]
    with serving(tmp_path / "chief") as (chief, address, _), journal_of(address, tmp_path / "worker") as journal:
        proposal = journal.propose()
        run = tmp_path / "worker" / "trials" / "01" / "run"
        run.mkdir(parents=True)
        (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        end(journal, tmp_path / "worker", proposal)
        known = rows_of(SearchDirectory(tmp_path / "chief"), chief.results[1])
    assert known == [[{"epoch": 1, "val_loss": 0.75}, {"epoch": 2, "accuracy": 0.5}]]


def test_a_worker_that_trains_for_long_is_not_taken_for_lost_and_one_that_ends_gives_its_trial_back(tmp_path):
    with serving(tmp_path / "chief") as (chief, address, _):
        with journal_of(address, tmp_path / "worker") as journal:
            journal.propose()
            held = chief.running
            time.sleep(2 * SILENT_SECONDS)
            assert chief.running == held
        assert chief.running == []
        with journal_of(address, tmp_path / "other") as other:
            assert other.propose().number == 1


def test_a_worker_that_was_killed_gets_its_own_trial_back_and_tells_an_end_that_it_had_not_told(tmp_path):
    with serving(tmp_path / "chief") as (chief, address, _):
        lost = journal_of(address, tmp_path / "worker")
        with journal_of(address, tmp_path / "worker") as journal:
            proposal = lost.propose()
            assert journal.propose() == proposal
            end(journal, tmp_path / "worker", proposal)
            assert journal.propose().number == 2 and [one.number for one in journal.ended] == [1]
        assert list(chief.results) == [1]


def test_a_worker_goes_on_without_a_chief_and_tells_the_next_one_what_ended(tmp_path):
    said = []
    with serving(tmp_path / "chief") as (_, address, _):
        journal = journal_of(address, tmp_path / "worker", slots=2, say=said.append)
        first = journal.propose()
    with journal:
        assert isinstance(journal.propose(), Wait)
        end(journal, tmp_path / "worker", first)
        with serving(tmp_path / "chief", port=address.port) as (chief, _, _):
            wait_until(lambda: isinstance(journal.propose(), Proposal))
            assert chief.results[1].score == 0.5
    assert ["answer" in text for text in said] == [True, True]


def test_a_worker_goes_on_with_what_runs_here_when_a_restarted_chief_hands_it_out_again(tmp_path):
    with serving(tmp_path / "chief") as (_, address, _):
        journal = journal_of(address, tmp_path / "worker", slots=3)
        first, second = journal.propose(), journal.propose()
    with serving(tmp_path / "chief", port=address.port) as (chief, _, _):
        answers = []  # each of the two comes back to the slot that asks, whose name it takes
        wait_until(lambda: answers.append(journal.propose()) or isinstance(answers[-1], Proposal))
        assert answers[-1].number == 3 and all(isinstance(one, Wait) for one in answers[:-1])
        names = [f"{tmp_path / 'worker'} slot {slot}" for slot in (3, 1, 2)]
        assert {held.proposal.number: held.worker for held in chief.running} == dict(enumerate(names, start=1))
        assert sorted(chief.workers) == sorted(names)
        handed_out = {held.trial_id: held.seen for held in chief.running}
        with journal:
            wait_until(lambda: all(held.seen > handed_out[held.trial_id] for held in chief.running))
            end(journal, tmp_path / "worker", first)
            assert chief.results[1].score == 0.5 and len(chief.running) == 2
        assert chief.running == []  # given back
    assert [one.number for one in journal.proposed] == [1, 2, 3] and journal.proposed[1] == second


def test_another_trial_under_the_number_of_one_that_runs_here_is_refused(tmp_path):
    with serving(tmp_path / "chief") as (_, address, _):
        journal = journal_of(address, tmp_path / "worker", slots=2)
        first = journal.propose()
    grid = OracleOptions(algorithm="grid", trials=3)
    with serving(tmp_path / "other", plan_of(options=grid), port=address.port) as (chief, _, _):
        with pytest.raises(InputError, match="Expected trial 1 as it runs here.*another one than before"):
            wait_until(lambda: not isinstance(journal.propose(), Wait))
        assert chief.running[0].proposal.values != first.values


def test_a_sign_of_life_that_is_on_its_way_does_not_take_back_what_is_given_back(tmp_path):
    with serving(tmp_path / "chief") as (chief, address, _):
        client, sent, arrived = ChiefClient(address), threading.Event(), threading.Event()
        is_held = client.is_held

        def late(trial_id):
            sent.set()
            time.sleep(0.5)
            try:
                return is_held(trial_id)
            finally:
                arrived.set()

        client.is_held = late
        directory = SearchDirectory(tmp_path / "worker")
        with RemoteJournal(client, plan_of(), directory, "worker", 1, silent_seconds=0.4) as journal:
            journal.propose()
            assert sent.wait(10)
        assert arrived.wait(10)
        assert chief.running == []


def test_a_worker_without_a_trial_gives_up_a_chief_that_is_gone(tmp_path):
    with serving(tmp_path / "chief") as (_, address, _):
        pass
    with (
        journal_of(address, tmp_path / "worker", patience=1.0) as journal,
        pytest.raises(InputError, match="within 1 s.*the same command goes on"),
    ):
        journal.propose()


def test_what_the_chief_hands_out_is_refused_where_it_is_not_in_the_workers_space(tmp_path):
    narrow = plan_of((Choice(name="blocks", values=(1, 2)), SPACE[1]))
    wide = plan_of((Choice(name="blocks", values=(1, 2, 3, 4, 5, 6, 7, 8, 9)), SPACE[1]))
    with serving(tmp_path / "chief", wide) as (chief, address, _):
        with (
            journal_of(address, tmp_path / "worker", plan=narrow, slots=3) as journal,
            pytest.raises(InputError, match="inside this command's own space"),
        ):
            for _ in range(3):
                journal.propose()
        assert all(one.proposal.values["blocks"] > 2 for one in chief.running)


def test_what_the_worker_has_of_another_search_is_not_told_of_this_one(tmp_path):
    with serving(tmp_path / "chief") as (_, address, _):
        other = TrialResult(number=1, values={"blocks": 9}, label="", state="done", score=0.1)
        write_result(SearchDirectory(tmp_path / "worker").trial(1), other)
        with (
            journal_of(address, tmp_path / "worker") as journal,
            pytest.raises(InputError, match="Choose another --out"),
        ):
            journal.propose()


def test_two_workers_go_through_hyperbands_rungs_together(tmp_path):
    plan = plan_of(options=OracleOptions(algorithm="hyperband", max_epochs=4, hyperband_factor=2))
    here: dict[str, list[Proposal]] = {"a": [], "b": []}

    def work(name):
        with journal_of(address, tmp_path / name, plan=plan) as journal:
            while (proposal := journal.propose()) is not None:
                here[name].append(proposal)
                end(journal, tmp_path / name, proposal, score=proposal.number / proposal.epochs)

    with serving(tmp_path / "chief", plan) as (chief, address, thread):
        workers = [threading.Thread(target=work, args=(name,), daemon=True) for name in here]
        for one in workers:
            one.start()
        for one in [*workers, thread]:
            one.join(timeout=30)
            assert not one.is_alive()
    numbers = [proposal.number for proposals in here.values() for proposal in proposals]
    assert sorted(numbers) == sorted(chief.results) == list(range(1, len(numbers) + 1))
    for proposals in here.values():
        known = {proposal.number for proposal in proposals}
        assert all(proposal.parent is None or proposal.parent in known for proposal in proposals)
    assert {one.epochs for one in chief.results.values()} == {1, 2, 4}
    assert sum(one.parent is not None for one in chief.results.values()) >= 4


@pytest.mark.parametrize("trained_here", [True, False])
def test_a_rung_goes_on_from_its_parent_where_that_was_trained(tmp_path, trained_here):
    plan = plan_of(options=OracleOptions(algorithm="hyperband", max_epochs=2, hyperband_factor=2))
    with serving(tmp_path / "chief", plan) as (chief, address, _):
        trainer = tmp_path / ("worker" if trained_here else "other")
        with journal_of(address, trainer, plan=plan) as journal:
            for _ in range(3):  # of the first rung
                proposal = journal.propose()
                if proposal.parent or proposal.epochs == 2:
                    break
                end(journal, trainer, proposal, score=float(proposal.number))
        with journal_of(address, tmp_path / "worker", plan=plan) as journal:
            proposal = journal.propose()
            known = chief.running[0].proposal
            assert known.epochs == proposal.epochs == 2 and known.parent is not None
            assert proposal.parent == (known.parent if trained_here else None)
