"""Final trainings, with a train command that only pretends to train, and the report on them."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.processes import processes_naming, wait_until
from tests.tuning.final.test_plan import BEST, asked, plan
from tuning.final import training
from tuning.final.plan import final_runs
from tuning.final.report import final_failures, final_report, final_table
from tuning.final.training import FinalTraining
from tuning.objective import objective_of
from tuning.oracles.options import OracleOptions
from tuning.processes.slots import Slot
from tuning.processes.supervisor import Ended

# Blocks and seed are its score; every call leaves a line in "calls".
TRAIN = """
    import json, os, pathlib, sys, yaml
    recipe, run = (sys.argv[sys.argv.index(name) + 1] for name in ("--config", "--run"))
    options, run = yaml.safe_load(open(recipe)), pathlib.Path(run)
    blocks, seed = options["blocks"], options["seed"]
    with open("CALLS", "a") as calls:
        print(blocks, seed, options["intra_op_threads"], file=calls)
    first = not run.exists()
    run.mkdir(exist_ok=True)
    if blocks == 4 and first:
        os.kill(os.getpid(), 9)
    if blocks == 1:
        sys.exit("error: Expected a finite loss.")
    rows = [(1, 9.0, 0.9), (2, seed / 10, 0.5)]
    rows = [dict(zip(("epoch", "val_loss", "val_accuracy"), row)) for row in rows]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\\n" for row in rows))
    report = {"split": "test", "examples": 400, "loss": seed / 5, "accuracy": 0.8, "metrics": {"macro_f1": 0.7}}
    (run / "evaluation.json").write_text(json.dumps(report))
    (run / "model.keras").touch()
"""
EVALUATE = """
    import json, pathlib, sys
    assert sys.argv[2:] == ["--split", "validation", "--overwrite"]
    report = {"split": "validation", "metrics": {"macro_f1": 0.6, "loss": 7.0}}
    (pathlib.Path(sys.argv[1]) / "evaluation-validation.json").write_text(json.dumps(report))
    print("judged")
"""
SLOTS = [Slot(number=number, options={"intra_op_threads": 1}) for number in (1, 2)]
WANTED = {"then_train": True}


@pytest.fixture
def train_command(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(textwrap.dedent(TRAIN).replace("CALLS", str(tmp_path / "calls")))
    return [sys.executable, str(script)]


def calls(tmp_path):
    return sorted((tmp_path / "calls").read_text().splitlines())


def trained(a_plan, folder, train_command, slots=SLOTS, **how):
    runs = final_runs(a_plan, BEST, asked(**how), folder)
    evaluate = [sys.executable, "-c", textwrap.dedent(EVALUATE)]
    descriptor = os.open(folder.parent, os.O_RDONLY)
    try:
        return list(
            FinalTraining(runs, slots, train_command, evaluate, descriptor, objective=a_plan.objective).scores()
        )
    finally:
        os.close(descriptor)


def report(a_plan, scores, tried=4):
    return final_report(a_plan, tried, scores, WANTED, {7: 1, 3: 1, 1: 1})


def test_each_of_the_best_is_trained_with_each_seed_and_judged_on_both_splits(tmp_path, train_command):
    scores = trained(plan(), tmp_path / "final", train_command, top=3, seeds=2)
    # The killed ones were started again, and those that fail were not.
    assert calls(tmp_path) == ["1 6 1", "1 7 1", "2 6 1", "2 7 1", *["4 6 1"] * 2, *["4 7 1"] * 2]
    content = report(plan(), scores)
    best, second, third = content["finalists"]
    assert (best["trial"], second["trial"], third["trial"]) == (7, 3, 1)
    assert best["search"]["loss"] == {"mean": 0.1, "deviation": None}
    assert best["validation"]["loss"] == {"mean": pytest.approx(0.65), "deviation": pytest.approx(0.0707, abs=1e-4)}
    assert best["test"]["loss"] == {"mean": pytest.approx(1.3), "deviation": pytest.approx(0.1414, abs=1e-4)}
    assert best["validation"]["accuracy"]["mean"] == 0.5  # of the epoch whose weights are kept
    assert second["test"]["accuracy"] == {"mean": 0.8, "deviation": 0.0}
    assert third["test"] == {} and {run["reason"] for run in third["runs"]} == {"Expected a finite loss."}
    assert [text.partition(":")[0] for text in final_failures(content)] == [
        "trial 1, seed 6, failed",
        "trial 1, seed 7, failed",
    ]
    assert final_table(content).row_count == 4  # loss and accuracy of two
    json.dumps(content, allow_nan=False)


def test_what_is_finished_is_not_trained_again_and_what_was_begun_keeps_its_threads(tmp_path, train_command):
    trained(plan(), tmp_path / "final", train_command)
    begun = tmp_path / "final" / "07-2-blocks" / "seed-7"
    begun.mkdir(parents=True)
    (begun / "recipe.yaml").write_text("intra_op_threads: 3\n")
    more = [Slot(number=1, options={"intra_op_threads": 2})]
    scores = trained(plan(), tmp_path / "final", train_command, slots=more, seeds=2)
    assert calls(tmp_path) == ["2 6 1", "2 7 3"]
    assert sorted((score.seed, score.threads, score.seconds is None) for _, score in scores) == [
        (6, 1, True),
        (7, 3, False),
    ]


def test_the_seconds_of_a_training_are_those_of_all_its_processes(tmp_path, monkeypatch):
    ends, seen = [(-9, 5.0), (0, 7.0), (-9, 11.0), (0, 13.0)], []  # of the training, and of the evaluation

    class Processes:
        """Those of a slot, which end as they are told to."""

        free = SLOTS[:1]

        def __init__(self, *_, **__) -> None: ...

        def __enter__(self) -> "Processes":
            return self

        def __exit__(self, *_) -> None: ...

        def start(self, *_) -> None: ...

        def wait(self, _) -> Ended:
            exit_code, seconds = ends.pop(0)
            facts = {"number": 1, "slot": SLOTS[0], "reason": "", "stopped": False, "memory": None}
            return Ended(exit_code=exit_code, seconds=seconds, **facts)

    monkeypatch.setattr(training, "Supervisor", Processes)
    runs = final_runs(plan(stages="head:2,finetune:3"), BEST, asked(), tmp_path)
    objective = objective_of("macro_f1")
    processes = training.FinalTraining(runs, SLOTS[:1], ["train"], ["judge"], 0, objective=objective, watch=seen.append)
    ((_, score),) = processes.scores()
    assert score.seconds == 36.0
    assert {row.epochs for overview in seen for row in overview.rows} == {5}


def test_an_objective_of_evaluation_is_judged_on_both_splits_and_once(tmp_path, train_command):
    of_evaluation = plan(oracle=OracleOptions(algorithm="random", trials=4, objective="macro_f1"))
    for _ in range(2):
        (best,) = report(of_evaluation, trained(of_evaluation, tmp_path / "final", train_command))["finalists"]
        assert (tmp_path / "final" / "07-2-blocks" / "seed-6" / "log.txt").read_text() == "judged\n"
    assert best["search"]["macro_f1"]["mean"] == 0.1
    assert best["validation"]["macro_f1"]["mean"] == 0.6 and best["validation"]["loss"]["mean"] == 0.6
    assert best["test"]["macro_f1"] == {"mean": 0.7, "deviation": None}
    assert list(best["test"]) == ["macro_f1", "loss", "accuracy"]


def test_why_a_retrained_score_may_differ_is_what_holds_of_it(tmp_path, train_command):
    usual = report(plan(), trained(plan(), tmp_path / "a", train_command))["why"]
    assert usual[0].startswith("The search's score is the best of 4")
    assert any("standard error of 0.0200" in text for text in usual)  # sqrt(0.8 x 0.2 / 400)
    assert not any("epochs" in text or "threads" in text or "rungs" in text for text in usual)
    accuracy = OracleOptions(algorithm="hyperband", max_epochs=9, objective="val_accuracy")
    wide = [Slot(number=1, options={"intra_op_threads": 2})]
    scores = trained(plan(oracle=accuracy), tmp_path / "b", train_command, slots=wide)
    other = "\n".join(report(plan(oracle=accuracy), scores, tried=1)["why"])
    for part in ("9 epochs, and was for 3", "in rungs", "2 threads an operation in place of 1", "best val_accuracy"):
        assert part in other
    assert "winner's curse" not in other  # of one


def test_a_search_that_is_killed_takes_its_trainings_with_it(tmp_path):
    script, folder = tmp_path / "train.py", tmp_path / "final"
    script.write_text("import sys, time; print('ready', flush=True); time.sleep(600)")
    code = (
        "import os, sys, pathlib; from tests.tuning.final.test_training import *\n"
        f"trained(plan(), pathlib.Path({str(folder)!r}), [sys.executable, {str(script)!r}], seeds=2)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[3])
    logs = [folder / "07-2-blocks" / f"seed-{seed}" / "log.txt" for seed in (6, 7)]
    wait_until(lambda: all(log.is_file() and "ready" in log.read_text() for log in logs))
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: processes_naming(folder) == [])
    assert all((log.parent / "recipe.yaml").is_file() for log in logs)
