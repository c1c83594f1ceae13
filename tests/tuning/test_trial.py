"""What a trial leaves."""

from tuning.trial import Execution, TrialResult, execution_folder, is_trials_own, read_result, result_of, write_result


def test_a_result_comes_back_from_its_folder_as_it_was(tmp_path):
    executions = [Execution(seed=0, score=0.5, epoch=3, metrics={"val_loss": 0.5}), Execution(seed=1, score=0.7)]
    result = result_of(7, {"units": [256], "rate": 0.1}, "256-units", executions, epochs=9, parent=2)
    assert read_result(tmp_path) is None
    write_result(tmp_path, result)
    assert read_result(tmp_path) == result


def test_a_trials_score_is_its_executions_mean_with_their_deviation():
    result = result_of(1, {}, "", [Execution(seed=0, score=1.0), Execution(seed=1, score=3.0)])
    assert (result.score, result.deviation, result.state) == (2.0, 2**0.5, "done")
    assert result_of(1, {}, "", [Execution(seed=0, score=1.0)]).deviation is None


def test_a_trial_fails_with_any_of_its_executions():
    failed = Execution(seed=1, reason="ended by SIGSEGV")
    result = result_of(1, {}, "", [Execution(seed=0, score=1.0), failed])
    assert (result.state, result.score, result.reason) == ("failed", None, "ended by SIGSEGV")


def test_metrics_are_means_of_what_every_scored_execution_has():
    executions = (
        Execution(seed=0, score=1.0, metrics={"val_loss": 1.0, "log_loss": 9.0}),
        Execution(seed=1, score=2.0, metrics={"val_loss": 2.0}),
    )
    result = TrialResult(number=1, values={}, label="", state="done", executions=executions)
    assert result.metrics == {"val_loss": 1.5}


def test_further_executions_have_folders_in_the_trials(tmp_path):
    assert execution_folder(tmp_path, 1) == tmp_path
    assert execution_folder(tmp_path, 2).parent == tmp_path
    assert is_trials_own(execution_folder(tmp_path, 2).name)
    assert not is_trials_own("notes.txt")
