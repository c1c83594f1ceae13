import numpy as np
import pytest
from PIL import Image

from models.training.rate_finder import HIGHEST, RangeTest, draw, rising_rates


def test_the_suggestion_lies_where_the_loss_falls_steepest():
    rates = rising_rates(200)
    losses = 2.3 - 2.0 / (1 + np.exp(-3 * np.log(rates / 0.01))) + np.where(rates > 1, rates, 0)
    assert RangeTest(rates, losses).suggestion == pytest.approx(0.01, rel=0.1)
    assert RangeTest(rates, np.linspace(1, 2, 200)).suggestion is None


def test_a_range_test_ends_where_the_loss_leaves_and_suggests_a_rate_that_trains(make_trainer, task, tmp_path):
    steps = 120
    optimizer = {"optimizer": "sgd", "momentum": 0.0, "learning_rate": HIGHEST}
    factors = (rising_rates(steps) / HIGHEST).astype(np.float32)
    test = make_trainer(1, optimizer=optimizer, step={"factors": factors}).find_rate(task.training(24, 1), steps)
    assert 30 < len(test.rates) <= steps and len(test.losses) == len(test.rates)
    trained = make_trainer(1, optimizer={**optimizer, "learning_rate": test.suggestion})
    history = trained.fit(task.training(24, 1), epochs=8)
    assert history.history["loss"][-1] < 0.7 * history.history["loss"][0]
    draw(test, tmp_path / "curve.png")
    assert Image.open(tmp_path / "curve.png").size == (770, 440)
