"""A run's model, and the trainer of each of its phases."""

import dataclasses
from typing import Any

import keras
import numpy as np

from models.backbones.build import build_backbone_model, head_of
from models.backbones.finetuning import Phase
from models.backbones.freezing import learning_rate_shares, unfreeze
from models.backbones.preprocessing import set_input_statistics
from models.cnn import build_cnn
from models.own_model import build_own_model
from models.standardise import DEFAULT, Standardisation
from models.training.compiling import compile_model
from models.training.feed import Feed
from models.training.normalization import synchronize
from models.training.objective import Objective
from models.training.optimizers import build_optimizer
from models.training.resizing import Stage, build_stages
from models.training.schedules import factors
from models.training.step import StepOptions
from models.training.trainer import Trainer
from scripts.training.assembly import Setting


def build_model(setting: Setting, standardisation: Standardisation = DEFAULT) -> keras.Model:
    """The model, its weights drawn from the run's seed or loaded, under the hardware's strategy."""
    keras.utils.set_random_seed(setting.seed)
    with setting.hardware.strategy.scope():
        model = built(setting, setting.spec.shape, standardisation)
    if setting.hardware.synchronized:
        synchronize(model)
    return model


def build_trainer(
    setting: Setting,
    model: keras.Model,
    augment: Any,
    phase: Phase | None = None,
    *,
    factors: np.ndarray | None = None,
    standardisation: Standardisation = DEFAULT,
) -> Trainer:
    """The trainer of a phase, with the step that the options ask for. The model is compiled anew for it.

    Args:
        setting: Of the run.
        model: Of `build_model`.
        augment: Of training batches, in the step; or None.
        phase: What is trained; None: as in the run's last phase.
        factors: On the learning rate, a step each; None: 1.
        standardisation: That the model was built with.
    """
    phase = phase or setting.phases[-1]
    options, strategy = setting.options["fine-tuning"], setting.hardware.strategy
    freeze(setting, model, phase)
    rate = 1.0 if phase.is_frozen else options.finetune_rate
    with strategy.scope():
        optimizer = build_optimizer(setting.options["optimizer"], setting.parts.batch_size, rate_factor=rate)
        compile_model(model, setting.head, optimizer)
    discriminative = options.first_layer_rate < 1 and not phase.is_frozen
    return Trainer(
        model,
        head=setting.head,
        hardware=setting.hardware,
        objective=_objective(setting),
        step=StepOptions(
            accumulate=setting.options["training"].accumulate,
            factors=factors,
            shares=learning_rate_shares(model, options.first_layer_rate) if discriminative else None,
        ),
        augment=augment,
        stages=_twins(setting, model, phase, standardisation),
    )


def build_head_trainer(setting: Setting, model: keras.Model, *, factors: np.ndarray | None = None) -> Trainer:
    """The trainer of a model's head alone, on features in the place of images; both have the same optimizer.

    Args:
        setting: Of the run.
        model: As `build_trainer` has left it for a phase in which the backbone is frozen.
        factors: On the learning rate, a step each; None: 1.
    """
    head = head_of(model)
    with setting.hardware.strategy.scope():
        compile_model(head, setting.head, model.optimizer)
    return Trainer(
        head,
        head=setting.head,
        hardware=setting.hardware,
        objective=_objective(setting),
        step=StepOptions(accumulate=setting.options["training"].accumulate, factors=factors),
    )


def schedule_of(setting: Setting, training: Feed, phase: Phase) -> np.ndarray | None:
    """The factors on the learning rate over a phase's steps, see `schedules.factors`; each stage has its own."""
    begin, first, end = (
        training.steps_until(epochs - 1) if epochs else 0 for epochs in (phase.stage[0], phase.first, phase.stage[1])
    )
    of_stage = factors(setting.options["schedule"], training.examples / training.batch_size, end - begin)
    return None if of_stage is None else of_stage[min(first - begin, len(of_stage) - 1) :]


def _objective(setting: Setting) -> Objective:
    loss, counts = setting.options["loss"], setting.manifest.splits["train"].examples_per_class
    return Objective(setting.head, loss, loss.class_weights(counts))


def freeze(setting: Setting, model: keras.Model, phase: Phase) -> None:
    """Lets what a phase trains be trained, and nothing else; only of a backbone is anything frozen."""
    if setting.options["model"].is_backbone:
        keeps_moments = setting.options["fine-tuning"].freeze_batch_norm
        unfreeze(model, phase.unfreeze, batch_norm=not keeps_moments)


def _twins(setting: Setting, model: keras.Model, phase: Phase, standardisation: Standardisation) -> list[Stage]:
    """The stages of progressive resizing; of their models' weights only what Keras bakes into a layer is used."""
    options = {**setting.options, "backbone": dataclasses.replace(setting.options["backbone"], weights="none")}
    unloaded = dataclasses.replace(setting, options=options)

    def build(shape: tuple[int, int, int]) -> keras.Model:
        twin = built(unloaded, shape, standardisation)
        if setting.options["model"].is_backbone:
            twin.set_weights(model.get_weights())
            set_input_statistics(twin, loaded=True)
        freeze(setting, twin, phase)
        return twin

    return build_stages(setting.options["resizing"], model, setting.spec.shape, setting.hardware, build)


def built(setting: Setting, shape: tuple[int, int, int], standardisation: Standardisation = DEFAULT) -> keras.Model:
    """The model that a run's options name, for images of a shape, under the current strategy and dtype policy."""
    which = setting.options["model"]
    if which.is_own:
        return build_own_model(which.model, shape, setting.head, standardisation)
    if which.is_backbone:
        return build_backbone_model(which.model, setting.options["backbone"], shape, setting.head, standardisation)
    return build_cnn(setting.options["cnn"], shape, setting.head, standardisation)
