from tuning.cluster.reports import Reports, tell
from tuning.cluster.wire import LARGEST, MESSAGES
from tuning.oracles.options import OracleOptions
from tuning.oracles.proposal import Proposal
from tuning.plan import SearchPlan
from tuning.space.parameters import Boolean

PROPOSAL = Proposal(number=3, values={"norm": True}, epochs=9, parent=1)


def plan(objective):
    oracle = OracleOptions(objective=objective, trials=4)
    return SearchPlan(space=(Boolean(name="norm"),), options={}, oracle=oracle, seed=0, data_fingerprint="")


def test_the_best_step_counts_by_the_mean_of_its_executions():
    reports = Reports()
    for loss, accuracy, step in ((0.5, 0.75, 1), (0.25, 0.5, 2), (0.75, 0.5, 2), (0.125, 0.5, 1)):
        reports.add({"val_loss": loss, "val_accuracy": accuracy}, step)
    by_loss = reports.result(plan("val_loss"), PROPOSAL, failed=False)
    assert (by_loss.score, by_loss.executions[0].epoch) == (0.3125, 1)
    assert by_loss.metrics == {"val_loss": 0.3125, "val_accuracy": 0.625}
    assert (by_loss.number, by_loss.epochs, by_loss.parent, by_loss.state) == (3, 9, 1, "done")
    assert reports.result(plan("val_accuracy"), PROPOSAL, failed=False).score == 0.625


def test_a_trial_that_failed_or_that_says_nothing_of_the_objective_has_no_score():
    reports = Reports()
    reports.add({"accuracy": 0.5}, 1)
    silent = reports.result(plan("val_loss"), PROPOSAL, failed=False)
    assert (silent.state, silent.score, silent.reason) == ("failed", None, "no finite val_loss")
    reports.add({"val_loss": 0.5}, 1)
    assert reports.result(plan("val_loss"), PROPOSAL, failed=True).reason == "its worker says no more"
    (execution,) = reports.result(plan("val_loss"), PROPOSAL, failed=False, worker="a", seconds=2.5).executions
    assert (execution.worker, execution.slot, execution.seconds) == ("a", 1, 2.5)


def test_what_a_worker_may_report_is_bounded():
    reports = Reports()
    for step in range(20_000):
        reports.add({"val_loss": 0.5}, step)
    for name in range(1000):
        reports.add({str(name): 0.5}, 1)
    for _ in range(1000):
        reports.add({"val_loss": 0.5}, 1)
    steps = reports.metrics["val_loss"]
    assert (len(reports.metrics), len(steps), len(steps[1])) == (100, 10_000, 100)


def test_curves_of_several_executions_keep_their_places_on_the_wire_and_very_long_ones_are_thinned_out():
    trial = MESSAGES.Trial()
    tell(trial, [[{"epoch": 1, "a": 0.5}], [{"epoch": 1, "a": 0.25}, {"epoch": 2, "a": 0.75}]])
    known = Reports.of(MESSAGES.Trial.FromString(trial.SerializeToString())).rows()
    assert known == [[{"epoch": 1, "a": 0.5}], [{"epoch": 1, "a": 0.25}, {"epoch": 2, "a": 0.75}]]
    long = MESSAGES.Trial()
    tell(long, [[{"epoch": epoch, **dict.fromkeys("abcdefgh", 0.5)} for epoch in range(1, 10_001)]])
    (rows,) = Reports.of(long).rows()
    assert rows[-1]["epoch"] == 10_000 and 2_000 <= len(rows) <= 2_500
    assert len(long.SerializeToString()) < LARGEST / 2
