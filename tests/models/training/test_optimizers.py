import pytest

from models.training.optimizers import build_optimizer
from models.training.options import OptimizerOptions


@pytest.mark.parametrize(
    ("name", "asked", "momentum"),
    [("sgd", None, 0.9), ("sgd", 0.0, 0.0), ("rmsprop", None, 0.0), ("rmsprop", 0.5, 0.5), ("muon", None, 0.95)],
)
def test_momentum_is_what_is_asked_for_and_by_default_what_suits_the_optimizer(name, asked, momentum):
    assert build_optimizer(OptimizerOptions(optimizer=name, momentum=asked)).get_config()["momentum"] == momentum
