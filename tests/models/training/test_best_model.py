import keras
import numpy as np
import pytest

from models.training.callbacks import BestModel
from models.training.keras_internals import moving_averages
from models.training.run_directory import RunDirectory
from tests.models.training.test_replicas import SGD


@pytest.mark.parametrize("replicas", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_best_model_has_the_weights_that_were_judged_and_training_goes_on_with_its_own(
    make_trainer, task, tmp_path, replicas
):
    trainer = make_trainer(replicas, optimizer={**SGD, "ema": 0.5})
    best = BestModel(RunDirectory(tmp_path))
    training, validation = task.training(24, replicas), task.evaluation(24, replicas)
    logs = trainer.fit(training, validation, epochs=1, callbacks=[best]).history
    averages = [average.numpy() for average in moving_averages(trainer.model.optimizer)]
    own = [variable.numpy() for variable in trainer.model.trainable_variables]
    kept = keras.models.load_model(tmp_path / "best.keras")
    assert best.epoch == 1 and best.loss == logs["val_loss"][0]
    for average, weight, saved in zip(averages, own, kept.trainable_variables, strict=True):
        np.testing.assert_array_equal(saved.numpy(), average)
        assert not np.array_equal(weight, average)
