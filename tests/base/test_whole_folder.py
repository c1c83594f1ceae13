import os

import pytest

from base.files import whole_folder


def test_the_old_folder_comes_back_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/old").write_text("old")
    replace = os.replace

    def interrupted(source, target):
        if str(source).endswith(".tmp"):
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "set") as folder:
        (folder / "new").write_text("new")
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["set", "set/old"]


def test_a_folder_that_fails_takes_the_parents_made_for_it_away_but_no_others(tmp_path):
    (tmp_path / "kept").mkdir()
    with pytest.raises(ValueError), whole_folder(tmp_path / "kept/made/set"):
        raise ValueError
    assert [path.name for path in tmp_path.rglob("*")] == ["kept"]
