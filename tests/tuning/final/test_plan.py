import dataclasses
from pathlib import Path

import pytest

from base.errors import InputError
from base.recipes import to_yaml
from tuning.final.options import FinalOptions
from tuning.final.plan import final_runs, require_same, require_trainable
from tuning.oracles.options import OracleOptions
from tuning.plan import SearchPlan
from tuning.space.parameters import Choice
from tuning.trial import TrialResult


def plan(*, executions: int = 1, epochs: int = 3, oracle: OracleOptions | None = None, **options) -> SearchPlan:
    fixed = {"blocks": 3, "epochs": epochs, "seed": 5, "data": "/data", "evaluate_on": None, "stages": None, **options}
    space = (Choice(name="blocks", values=(1, 2, 3, 4)),)
    oracle = oracle or OracleOptions(algorithm="random", trials=4)
    return SearchPlan(space=space, options=fixed, oracle=oracle, executions=executions, seed=5, data_fingerprint="abc")


def asked(**how) -> FinalOptions:
    return FinalOptions(then_train=True, **how)


BEST = [
    TrialResult(number=7, values={"blocks": 2}, label="2-blocks", state="done", score=0.1),
    TrialResult(number=3, values={"blocks": 4}, label="4-blocks", state="done", score=0.2),
    TrialResult(number=1, values={"blocks": 1}, label="1-blocks", state="done", score=0.3),
]


def test_the_best_are_trained_in_full_with_seeds_of_their_own_and_judged_on_the_test_split():
    runs = final_runs(plan(executions=2), BEST, asked(top=2, seeds=2), Path("final"))
    assert [(run.rank, run.trial.number, run.recipe["blocks"], run.seed, str(run.run)) for run in runs] == [
        (1, 7, 2, 7, "final/07-2-blocks/seed-7/run"),
        (1, 7, 2, 8, "final/07-2-blocks/seed-8/run"),
        (2, 3, 4, 7, "final/03-4-blocks/seed-7/run"),
        (2, 3, 4, 8, "final/03-4-blocks/seed-8/run"),
    ]  # the search's two executions had the seeds 5 and 6
    other_order = final_runs(plan(executions=2), BEST[1::-1], asked(top=2, seeds=2), Path("final"))
    assert {run.folder for run in other_order} == {run.folder for run in runs}  # where they stand is found again
    assert runs[0].recipe == {"blocks": 2, "epochs": 3, "seed": 7, "data": "/data", "evaluate_on": "test"}


def test_a_combination_that_hyperband_trained_in_several_rungs_is_trained_once():
    child = TrialResult(number=9, values={"blocks": 2}, label="2-blocks", state="done", score=0.15, epochs=9, parent=7)
    hyperband = plan(oracle=OracleOptions(algorithm="hyperband", max_epochs=9))
    runs = final_runs(hyperband, [BEST[0], child, *BEST[1:]], asked(top=3), Path("final"))
    assert [(run.rank, run.trial.number, run.recipe["blocks"]) for run in runs] == [(1, 7, 2), (2, 3, 4), (3, 1, 1)]


def test_the_full_duration_is_that_of_the_recipe_or_hyperbands_longest_or_what_is_said():
    def epochs(a_plan, **how):
        return final_runs(a_plan, BEST, asked(**how), Path())[0].recipe["epochs"]

    hyperband = plan(oracle=OracleOptions(algorithm="hyperband", max_epochs=27))
    assert (epochs(plan()), epochs(hyperband), epochs(hyperband, then_epochs=50)) == (3, 27, 50)


def test_what_could_not_follow_the_search_is_refused_before_it():
    require_trainable(FinalOptions(), plan(), ["train", "validation"])
    require_trainable(asked(top=4), plan(), ["train", "validation", "test"])
    with pytest.raises(InputError, match="with the split test with --then-train"):
        require_trainable(asked(), plan(), ["train", "validation"])
    with pytest.raises(InputError, match="Expected --top of at most the 4 trials. Received: top=5"):
        require_trainable(asked(top=5), plan(), ["test"])
    with pytest.raises(InputError, match="--then-epochs without --stages"):
        require_trainable(asked(then_epochs=9), plan(stages="head:2"), ["test"])
    searched = Choice(name="stages", values=("head:2", "head:3"))
    with pytest.raises(InputError, match="--then-epochs without --stages"):
        require_trainable(asked(then_epochs=9), dataclasses.replace(plan(), space=(searched,)), ["test"])


@pytest.mark.parametrize("given", [{"top": 2}, {"seeds": 3}, {"then_epochs": 1}])
def test_what_is_said_of_the_final_trainings_wants_them(given):
    with pytest.raises(InputError, match="Expected --then-train with --"):
        FinalOptions(**given)
    with pytest.raises(InputError, match="of at least 1"):
        FinalOptions(then_train=True, **dict.fromkeys(given, 0))


def test_a_training_begun_with_other_options_is_refused_and_one_with_other_threads_goes_on(tmp_path):
    (run,) = final_runs(plan(), BEST, asked(), tmp_path)
    require_same([run], {"intra_op_threads"})
    run.folder.mkdir(parents=True)
    (run.folder / "recipe.yaml").write_text(to_yaml({**run.recipe, "intra_op_threads": 4}))
    require_same([run], {"intra_op_threads"})
    (longer,) = final_runs(plan(), BEST, asked(then_epochs=9), tmp_path)
    with pytest.raises(InputError, match=r"seed-6. Differing: epochs 3 there, 9 asked\. Move that folder"):
        require_same([longer], {"intra_op_threads"})
