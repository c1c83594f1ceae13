import pytest

from base.errors import InputError
from tuning.oracle_options import OracleOptions


@pytest.mark.parametrize(
    ("objective", "better"),
    [
        ("val_loss", "min"),
        ("log_loss", "min"),
        ("val_accuracy", "max"),
        ("val_top_5_accuracy", "max"),
        ("macro_f1", "max"),
        ("macro_roc_auc", "max"),
        ("mean_squared_error", "min"),
    ],
)
def test_the_direction_is_taken_from_the_objectives_name(objective, better):
    assert OracleOptions(objective=objective).better == better


def test_the_direction_of_another_objective_must_be_given():
    with pytest.raises(InputError, match="Received: objective='val_beauty'. Give --direction min or max."):
        OracleOptions(objective="val_beauty")
    assert OracleOptions(objective="val_beauty", direction="max").better == "max"
    assert OracleOptions(objective="val_loss", direction="max").better == "max"


@pytest.mark.parametrize(
    "wrong",
    [
        {"algorithm": "annealing"},
        {"trials": 0},
        {"max_epochs": 9},
        {"algorithm": "hyperband"},
        {"algorithm": "hyperband", "max_epochs": 0},
        {"algorithm": "hyperband", "max_epochs": 9, "hyperband_factor": 1},
        {"algorithm": "hyperband", "max_epochs": 9, "hyperband_iterations": 0},
    ],
)
def test_options_that_make_no_search_are_refused(wrong):
    with pytest.raises(InputError, match=f"{[*wrong][-1]}={[*wrong.values()][-1]!r}"):
        OracleOptions(**wrong)
