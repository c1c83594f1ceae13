"""A search's folder after processes were killed."""

import json

import pytest

from base.errors import InputError
from tuning.search_directory import SearchDirectory

IDENTITY = {"algorithm": "random", "seed": 0}
BUDGET = {"trials": 2, "hours": None}


def test_a_search_that_was_killed_in_its_first_write_can_begin(tmp_path):
    (tmp_path / ".search.yaml.123.tmp").write_text("algor")
    assert not SearchDirectory(tmp_path).is_finished(IDENTITY, BUDGET, overwrite=False)
    assert [entry.name for entry in tmp_path.iterdir()] == ["search.yaml"]


def test_a_search_whose_processes_were_killed_can_be_overwritten(tmp_path):
    directory = SearchDirectory(tmp_path)
    directory.is_finished(IDENTITY, BUDGET, overwrite=False)
    second = directory.trial(1) / "execution-2"
    (second / "run").mkdir(parents=True)
    for file in (".result.json.123.tmp", ".recipe.yaml.123.tmp", ".run.lock", "execution-2/.recipe.yaml.123.tmp"):
        (directory.trial(1) / file).touch()
    (tmp_path / ".hours.json.123.tmp").touch()
    assert not directory.is_finished({**IDENTITY, "seed": 1}, BUDGET, overwrite=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["search.yaml"]


def test_overwrite_in_the_same_command_again_loses_nothing(tmp_path):
    directory = SearchDirectory(tmp_path)
    assert not directory.is_finished(IDENTITY, BUDGET, overwrite=True)
    directory.trial(1).mkdir(parents=True)
    assert not directory.is_finished(IDENTITY, BUDGET, overwrite=True)  # in progress: it goes on
    assert directory.trial(1).is_dir()
    directory.ranking.write_text(json.dumps({"budget": BUDGET, "ranking": [{"number": 1}]}))
    assert directory.is_finished(IDENTITY, BUDGET, overwrite=True)
    assert not directory.is_finished(IDENTITY, {**BUDGET, "trials": 4}, overwrite=True)  # a longer one goes on
    assert directory.trial(1).is_dir()


def test_a_search_that_is_to_be_longer_is_finished_no_more(tmp_path):
    directory = SearchDirectory(tmp_path)
    directory.is_finished(IDENTITY, BUDGET, overwrite=False)
    directory.ranking.write_text(json.dumps({"budget": BUDGET, "ranking": [{"number": 1}]}))
    assert not directory.is_finished(IDENTITY, {**BUDGET, "trials": 4}, overwrite=False)
    # It was stopped after three trials: the first two are not all that there is to rank.
    assert not directory.is_finished(IDENTITY, BUDGET, overwrite=False)


def test_overwrite_replaces_a_search_that_was_good_for_nothing_or_that_can_t_be_read(tmp_path):
    directory = SearchDirectory(tmp_path)
    for damage in (lambda: None, lambda: directory.options.write_text("a: [")):
        directory.is_finished(IDENTITY, BUDGET, overwrite=False)
        directory.ranking.write_text(json.dumps({"budget": BUDGET, "ranking": []}))
        assert directory.is_finished(IDENTITY, BUDGET, overwrite=False)
        damage()
        assert not directory.is_finished(IDENTITY, BUDGET, overwrite=True)
        assert [entry.name for entry in tmp_path.iterdir()] == ["search.yaml"]


def test_hidden_files_of_others_stay_and_keep_a_search_out(tmp_path):
    mine = tmp_path / ".notes.123.tmp"
    mine.touch()
    with pytest.raises(InputError, match="a new folder or a search's"):
        SearchDirectory(tmp_path).is_finished(IDENTITY, BUDGET, overwrite=True)
    assert mine.is_file()
