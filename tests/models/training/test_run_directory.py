import pytest

from base.errors import InputError
from models.training.run_directory import RunDirectory

ASKED = {"data": "d", "epochs": 3, "replicas": None, "xla": "auto"}
RESOLVED = {"data": "d", "epochs": 3, "replicas": 1, "xla": "off"}


@pytest.fixture
def run(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.create(RESOLVED, {"data_fingerprint": "f"})
    return run


def test_a_run_is_finished_when_its_model_stands(run):
    assert not run.is_finished(ASKED, "f", overwrite=False)
    run.model.touch()
    assert run.is_finished(ASKED, "f", overwrite=False)


def test_other_options_and_other_data_are_listed(run):
    run.model.touch()
    with pytest.raises(InputError) as error:
        run.is_finished({**ASKED, "epochs": 4, "xla": "on"}, "g", overwrite=False)
    for part in ("epochs 3 there, 4 asked", "xla 'off' there, 'on' asked", "data set f there, g asked", "--overwrite"):
        assert part in str(error.value)
    assert "replicas" not in str(error.value)


def test_overwrite_makes_the_run_anew_and_removes_what_it_left(run):
    run.model.touch()
    run.append_metrics({"epoch": 1})
    assert not run.is_finished({**ASKED, "epochs": 4}, "f", overwrite=True)
    run.create({**RESOLVED, "epochs": 4}, {"data_fingerprint": "f"})
    assert not run.model.exists() and not run.metrics.exists()


def test_overwrite_spares_a_folder_that_holds_anything_else(run):
    (run.path / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"thesis\.tex"):
        run.is_finished(ASKED, "f", overwrite=True)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_is_no_run_is_refused(tmp_path, overwrite):
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(InputError, match="--run"):
        RunDirectory(tmp_path).is_finished(ASKED, "f", overwrite=overwrite)


def test_an_empty_folder_is_taken(tmp_path):
    assert not RunDirectory(tmp_path).is_finished(ASKED, "f", overwrite=False)
