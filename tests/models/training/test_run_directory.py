import pytest

from base.errors import InputError
from models.training.run_directory import RunDirectory

DATA = {"data_fingerprint": "f"}
ASKED = {"data": "d", "epochs": 3, "replicas": None, "xla": "auto"}
RESOLVED = {"data": "d", "epochs": 3, "replicas": 1, "xla": "off"}


def state(run, changed=None, identities=DATA, *, overwrite=False, longer=True):
    return run.state({**ASKED, **(changed or {})}, identities, overwrite=overwrite, longer=longer)


@pytest.fixture
def run(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.create(RESOLVED, DATA)
    return run


def test_a_run_is_finished_when_its_model_stands(run):
    assert state(run) == "unfinished"
    run.model.touch()
    assert state(run) == "finished"


def test_other_options_and_other_data_are_listed(run):
    run.model.touch()
    with pytest.raises(InputError) as error:
        state(run, {"epochs": 2, "xla": "on"}, {"data_fingerprint": "g"})
    listed = ("epochs 3 there, 2 asked", "xla 'off' there, 'on' asked", "data_fingerprint f there, g asked")
    for part in (*listed, "--overwrite"):
        assert part in str(error.value)
    assert "replicas" not in str(error.value)


def test_overwrite_makes_the_run_anew_and_removes_what_it_left(run):
    run.model.touch()
    run.append_metrics({"epoch": 1})
    assert state(run, {"epochs": 4}, overwrite=True) == "new"
    run.create({**RESOLVED, "epochs": 4}, DATA)
    assert not run.model.exists() and not run.metrics.exists()


def test_overwrite_spares_a_folder_that_holds_anything_else(run):
    (run.path / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"thesis\.tex"):
        state(run, overwrite=True)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_is_no_run_is_refused(tmp_path, overwrite):
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(InputError, match="--run"):
        state(RunDirectory(tmp_path), overwrite=overwrite)


def test_an_empty_folder_is_taken(tmp_path):
    assert state(RunDirectory(tmp_path)) == "new"


def test_a_run_that_was_broken_off_while_it_was_made_is_new(tmp_path):
    run = RunDirectory(tmp_path / "run")
    with pytest.raises(TypeError):
        run.create(RESOLVED, {"not for JSON": object()})
    assert state(run) == "new"
    run.create(RESOLVED, DATA)
    run.config.unlink()
    assert state(run) == "new"


def test_more_epochs_make_a_finished_run_an_unfinished_one_where_they_change_nothing_before(run):
    run.model.touch()
    assert state(run, {"epochs": 4}) == "unfinished"
    for changed, longer in (({"epochs": 4}, False), ({"epochs": 2}, True)):
        with pytest.raises(InputError, match="epochs 3 there"):
            state(run, changed, longer=longer)


def test_a_run_that_goes_on_loses_what_came_after_its_checkpoint(run):
    for epoch in (1, 2, 3):
        run.append_metrics({"epoch": epoch})
    run.model.touch()
    run.clock.touch()  # of another process
    (run.path / ".best.keras.123.tmp.keras").touch()  # of a process that was killed
    run.go_on({**RESOLVED, "epochs": 5}, DATA, rows=[{"epoch": 1}, {"epoch": 2}], neutral=[])
    assert run.metrics.read_text().splitlines() == ['{"epoch": 1}', '{"epoch": 2}']
    assert run.chosen()["epochs"] == 5
    assert {path.name for path in run.path.iterdir()} == {"config.yaml", "environment.json", "metrics.jsonl"}


def test_a_run_does_not_go_on_where_its_choices_came_out_otherwise(run):
    with pytest.raises(InputError, match="replicas 1 there, 2 here"):
        run.go_on({**RESOLVED, "replicas": 2}, DATA, rows=[], neutral=[])
    run.go_on({**RESOLVED, "replicas": 2}, DATA, rows=[], neutral=["replicas"])


def test_a_second_process_is_kept_out(run):
    with run.locked(), pytest.raises(InputError, match="no other process"), RunDirectory(run.path).locked():
        pass
    with RunDirectory(run.path).locked():
        pass
    assert {p.name for p in run.path.parent.iterdir()} == {"run"}


def test_what_evaluate_wrote_belongs_to_the_run_and_goes_with_its_model(run):
    report = run.path / "evaluation-test.html"
    for make_again in (
        lambda: run.create(RESOLVED, DATA),
        lambda: run.go_on(RESOLVED, DATA, rows=[], neutral=()),
    ):
        report.touch()
        assert state(run, overwrite=True) == "new"
        make_again()
        assert not report.exists()
