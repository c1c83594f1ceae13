import pytest

from base.errors import InputError
from tuning.oracles.options import OracleOptions


@pytest.mark.parametrize(
    "wrong",
    [
        {"algorithm": "annealing"},
        {"trials": 0},
        {"objective": "val_beauty"},
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
