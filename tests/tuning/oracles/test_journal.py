import dataclasses
import json
import math
import os
from pathlib import Path

import pytest
from sklearn.gaussian_process import GaussianProcessRegressor

from base.errors import InputError
from tuning.oracles.algorithms import Bayesian
from tuning.oracles.journal import Ended, Journal, read_events
from tuning.oracles.options import OracleOptions
from tuning.oracles.oracle import Oracle
from tuning.oracles.proposal import Proposal
from tuning.space.parameters import Choice, Float

SPACE = (Float(name="x", low=0.0, high=1.0), Choice(name="kind", values=("a", None, (3, 3))))
OPTIONS = {
    "random": OracleOptions(algorithm="random", trials=8),
    "grid": OracleOptions(algorithm="grid", trials=8),
    "bayesian": OracleOptions(algorithm="bayesian", trials=9),
    "bayesian of 6": OracleOptions(algorithm="bayesian", trials=6),
    "hyperband": OracleOptions(algorithm="hyperband", max_epochs=4, hyperband_factor=2),
    "hyperband of 9": OracleOptions(algorithm="hyperband", max_epochs=9),
}
SPACES = {
    "bayesian": SPACE[:1],
    "bayesian of 6": (Choice(name="x", values=tuple(place / 10 for place in range(1, 7))),),
    "hyperband of 9": (Choice(name="x", values=tuple(place / 10 for place in range(1, 10))),),
}


def opened(path: Path, algorithm: str, *, seed: int = 0) -> Journal:
    return Journal(path, Oracle(SPACES.get(algorithm, SPACE), OPTIONS[algorithm], seed=seed))


def go_on(journal: Journal) -> None:
    """Runs the search to its end: three trials at a time, which end out of order, some by failing."""
    while True:
        running = journal.running
        if len(running) < 3 and isinstance(journal.propose(), Proposal):
            continue
        if not running:
            return
        proposal = min(running, key=lambda proposal: proposal.number * 7 % 5)
        failed = proposal.values["x"] > 0.8
        journal.tell(
            proposal.number, None if failed else (proposal.values["x"] - 0.3) ** 2, "too large" if failed else ""
        )


@pytest.mark.parametrize("algorithm", OPTIONS)
def test_a_search_that_is_killed_at_any_moment_goes_on_to_the_same_end(algorithm, tmp_path):
    whole = tmp_path / "whole.jsonl"
    go_on(opened(whole, algorithm))
    content = whole.read_bytes()
    lines = content.splitlines(keepends=True)
    assert len(lines) == 2 * len(opened(whole, algorithm).proposed) >= 12
    cut = tmp_path / "cut.jsonl"
    for place, line in enumerate(lines):
        # At the line's start, or inside it: in turn after its first byte, in its middle, before its newline.
        torn = line[: (1, len(line) // 2, len(line) - 1)[place % 3]]
        for kept in (b"".join(lines[:place]), b"".join(lines[:place]) + torn):
            cut.write_bytes(kept)
            journal = opened(cut, algorithm)
            assert cut.read_bytes() == b"".join(lines[:place])
            events = read_events(cut)
            assert [e.number for e in journal.ended] == [e.number for e in events if isinstance(e, Ended)]
            assert {p.number for p in journal.running} == {p.number for p in journal.proposed} - {
                e.number for e in journal.ended
            }
        go_on(journal)
        assert cut.read_bytes() == content


def test_what_was_running_comes_back_with_its_number_values_epochs_and_parent(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = opened(path, "hyperband")
    while not any(proposal.parent for proposal in journal.running):
        proposal = journal.propose()
        if len(journal.running) == 3 or not isinstance(proposal, Proposal):
            journal.tell(journal.running[0].number, journal.running[0].values["x"])
    running = journal.running
    assert len(running) >= 2
    again = opened(path, "hyperband")
    assert json.dumps([vars(p) for p in again.running]) == json.dumps([vars(p) for p in running])
    assert isinstance(again.propose(), Proposal)
    assert again.proposed[-1].number == len(journal.proposed) + 1


def test_an_event_is_on_disk_when_the_call_returns(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = opened(path, "random")
    proposal = journal.propose()
    assert json.loads(path.read_text()) == {
        "proposed": {"number": 1, "values": proposal.values, "epochs": None, "parent": None}
    }
    journal.tell(1, math.nan)
    assert json.loads(path.read_text().splitlines()[1]) == {
        "ended": {"number": 1, "score": None, "reason": "the objective is nan"}
    }
    assert journal.ended == opened(path, "random").ended


def test_an_oracle_that_proposes_otherwise_is_refused(tmp_path):
    path = tmp_path / "journal.jsonl"
    go_on(opened(path, "random"))
    with pytest.raises(
        InputError, match="in line 1 of .*journal.jsonl: Proposal.number=1, .*Other versions of KerasTuner"
    ):
        opened(path, "random", seed=1)


def _tried(oracle: Bayesian) -> dict:
    return next(iter(oracle.trials.values())).hyperparameters.values


def first_of_the_process(lines: list[bytes]) -> int:
    """Where a search's first proposal stands that is not random: three trials have succeeded before."""
    events = [json.loads(line) for line in lines]
    scored = [place for place, one in enumerate(events) if one.get("ended", {}).get("score") is not None]
    return next(place for place, one in enumerate(events) if "proposed" in one and place > scored[2])


def test_a_bayesian_search_whose_processes_repeat_themselves_goes_on_to_the_same_end(tmp_path, monkeypatch):
    """What it proposes then depends on random combinations, which must be those of the same trial after a kill."""
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    monkeypatch.setattr(Bayesian, "_vector_to_values", lambda self, _: _tried(self))
    go_on(opened(whole, "bayesian"))
    lines = whole.read_bytes().splitlines(keepends=True)
    first = first_of_the_process(lines)
    assert any(b"proposed" in line for line in lines[first + 1 :])
    for kept in (first, first + 1, first + 2):
        cut.write_bytes(b"".join(lines[:kept]))
        go_on(opened(cut, "bayesian"))
        assert cut.read_bytes() == whole.read_bytes()


def with_another_last_bit(content: bytes, number: int) -> bytes:
    """A journal of proposals that another machine computed: one differs in the last bit of `x`."""
    events = [json.loads(line) for line in content.splitlines()]
    values = next(one["proposed"]["values"] for one in events if one.get("proposed", {}).get("number") == number)
    values["x"] = math.nextafter(values["x"], 1.0)
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def test_a_bayesian_search_takes_its_journals_values_without_computing_them_again(tmp_path, monkeypatch):
    whole, path = tmp_path / "whole.jsonl", tmp_path / "journal.jsonl"
    go_on(opened(whole, "bayesian"))
    lines = whole.read_bytes().splitlines(keepends=True)
    first = first_of_the_process(lines)
    for number in (2, json.loads(lines[first])["proposed"]["number"]):  # a random one, and that of the process
        content = with_another_last_bit(b"".join(lines[: first + 1]), number)
        path.write_bytes(content)
        with monkeypatch.context() as patch:
            patch.delattr(GaussianProcessRegressor, "fit")
            journal = opened(path, "bayesian")
        assert path.read_bytes() == content
        go_on(journal)
        assert path.read_bytes().startswith(content)
        assert len(journal.ended) == 9


def test_another_last_bit_of_what_is_only_drawn_is_refused(tmp_path):
    path = tmp_path / "journal.jsonl"
    go_on(opened(path, "random"))
    path.write_bytes(with_another_last_bit(path.read_bytes(), 2))
    with pytest.raises(InputError, match="Expected the oracle to propose what it proposed before, in line 2"):
        opened(path, "random")


@pytest.mark.parametrize("value", ["0.85", '"a"', "null", "[1]"])
@pytest.mark.parametrize("algorithm", ["bayesian", "bayesian of 6"])
def test_a_bayesian_search_takes_no_values_of_another_space(algorithm, value, tmp_path):
    path = tmp_path / "journal.jsonl"
    opened(path, algorithm).propose()
    number = 2 if (algorithm, value) == ("bayesian", "0.85") else 1
    path.write_text(
        f'{{"proposed": {{"number": {number}, "values": {{"x": {value}}}, "epochs": null, "parent": null}}}}\n'
    )
    with pytest.raises(InputError, match="Expected the oracle to propose what it proposed before, in line 1"):
        opened(path, algorithm)


@pytest.mark.parametrize("algorithm", ["random", "bayesian", "grid"])
def test_fewer_trials_than_there_were_are_no_other_search_but_nothing_more_is_proposed(algorithm, tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = opened(path, algorithm)
    for _ in range(4):
        journal.propose()
    journal.tell(2, 0.5)
    content = path.read_bytes()
    for trials in (1, 2, 4):
        options = dataclasses.replace(OPTIONS[algorithm], trials=trials)
        shorter = Journal(path, Oracle(SPACES.get(algorithm, SPACE), options, seed=0))
        assert ([p.number for p in shorter.running], [e.number for e in shorter.ended]) == ([1, 3, 4], [2])
        assert shorter.propose() is None
        assert path.read_bytes() == content
    assert opened(path, algorithm).propose().number == 5


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "journal.jsonl"
    go_on(opened(path, "random"))
    lines = path.read_text().splitlines(keepends=True)
    for damaged in ('{"proposed": {"number": 2}}\n', "{}\n", "[1]\n", "\0\0\n", '{"told": {}}\n', "\n"):
        path.write_text(lines[0] + damaged + "".join(lines[2:]))
        with pytest.raises(InputError, match="Expected an event in line 2 of"):
            opened(path, "random")
    path.write_text(lines[0] + '{"ended": {"number": 2, "score": 1.0, "reason": ""}}\n')
    with pytest.raises(InputError, match="the end of a running trial in line 2"):
        opened(path, "random")


def test_the_end_of_a_trial_that_does_not_run_is_refused_and_not_written(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = opened(path, "random")
    journal.propose()
    journal.tell(1, 0.5)
    for number in (1, 2):
        with pytest.raises(InputError, match=f"Received: number={number}"):
            journal.tell(number, 0.5)
    assert len(path.read_text().splitlines()) == 2


def test_reading_leaves_a_torn_line_to_its_writer(tmp_path):
    path = tmp_path / "journal.jsonl"
    assert read_events(path) == []
    path.write_text('{"ended": {"number": 2, "score": 1.0, "reason": ""}}\n{"proposed')
    size = os.path.getsize(path)
    assert read_events(path) == [Ended(number=2, score=1.0, reason="")]
    assert os.path.getsize(path) == size
