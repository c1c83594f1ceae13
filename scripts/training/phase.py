"""What a training does while the same layers are trained, and how one phase takes over from the one before."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from models.backbones.build import backbone_layers
from models.backbones.finetuning import Phase
from models.training.broadcast import broadcast
from models.training.failures import NotFinite
from models.training.feed import Feed
from models.training.keras_internals import moving_averages
from models.training.snapshot import Snapshot
from models.training.trainer import Trainer
from scripts.training.building import build_head_trainer, build_trainer, schedule_of
from scripts.training.replay import naming_examples, replayed
from scripts.training.training import Training


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingPhase:
    """A phase of a training.

    Attributes:
        training: That it is a part of.
        phase: Which one.
        trainer: That trains; see `in_phase`.
        whole: That takes images and evaluates them.
    """

    training: Training
    phase: Phase
    trainer: Trainer
    whole: Trainer

    @property
    def on_features(self) -> bool:
        """Whether the head alone is trained, on stored features."""
        return self.training.setting.on_stored_features(self.phase)

    def training_feed(self, start_step: int = 0) -> Feed:
        """What the trainer takes, from a step of the run on."""
        return self.training.training_feed(self.phase, start_step)

    def validation_feed(self) -> Feed | None:
        """The validation split for the trainer; None where there is none."""
        return self.training.validation_feed(self.phase)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Where training happens: its errors name shard and record, and the examples of a step that failed."""
        data = self.training.data_of(self.phase)
        try:
            with data.reading(training=True):
                yield
        except NotFinite as error:
            raise error if self.training.setting.synthetic else naming_examples(error, data) from None

    def describe(self) -> str:
        """What is trained, in a line."""
        epochs = f"epochs {self.phase.first + 1} to {self.phase.until}"
        rate = f"learning rate {float(self.trainer.model.optimizer.learning_rate.numpy()):.2g}"
        layers = backbone_layers(self.training.model)
        trained = [layer.name for layer in layers if layer.trainable]
        if not trained:
            return f"{epochs}: the head, {rate}"
        part = f"{len(trained)} of {len(layers)} layers of the backbone, from {trained[0]} on"
        return f"{epochs}: the head, and {part}, {rate}"

    def start_after(self, before: Snapshot) -> Snapshot:
        """Where this phase begins when the one before it has ended there, in this process."""
        return before.entering(self.trainer.snapshot())

    def settle(self, best: Path | None) -> None:
        """Gives every worker the weights that are judged and saved: those of a file of the first one, or the last."""
        hardware, model = self.training.setting.hardware, self.training.model
        if best is None:
            self.whole.settle()
            return
        if hardware.worker == 0:
            model.load_weights(best)
            # The file may be of an earlier phase, whose optimizer was another one.
            for average, weight in zip(moving_averages(model.optimizer) or [], model.trainable_variables, strict=False):
                average.assign(weight)
        shared = broadcast(hardware, self.whole.snapshot() if hardware.worker == 0 else None)
        if hardware.worker != 0:
            self.whole.take_over(shared)

    def replayed(self, start: Snapshot) -> str:
        """What happens in the step after `start`, at which the training failed."""
        on_host = None if self.on_features else self.training.augment_on_host
        return replayed(start, self.trainer, self.training.data_of(self.phase), on_host=on_host)


def in_phase(training: Training, number: int, factors: np.ndarray | None = None) -> TrainingPhase:
    """A phase of a training, with the weights as they are.

    Args:
        training: Its model is compiled anew, with a new optimizer.
        number: Of the phase, from 0.
        factors: On the learning rate, in place of the schedule's.
    """
    setting, phase = training.setting, training.phases[number]
    factors = schedule_of(setting, training.training_feed(phase), phase) if factors is None else factors
    whole = trainer = build_trainer(
        setting,
        training.model,
        training.augment_in_step,
        phase,
        factors=factors,
        standardisation=training.standardisation,
    )
    if setting.on_stored_features(phase):
        trainer = build_head_trainer(setting, training.model, factors=factors)
    return TrainingPhase(training=training, phase=phase, trainer=trainer, whole=whole)
