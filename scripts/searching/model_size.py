"""A recipe -> how large its model is, and what a step of its training holds in memory.

The model is built as train.py builds it, by the same code, but for its values: kernels have a shape and no numbers, no
weights are read or fetched, and nothing is fitted on data. A model of any size is answered for in the same time.
"""

import contextlib
import dataclasses
import gc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from models.standardise import Standardisation
from models.summary.calls import calls_of
from models.summary.memory import memory_of
from models.summary.report import parameters_in
from models.training.hardware import Hardware, precision_on
from models.training.keras_internals import without_kernels
from models.training.optimizers import build_optimizer
from models.training.resizing import build_stages
from pipelines.manifest import read_manifest
from pipelines.reading.parts import Parts
from scripts.training.assembly import Setting, fitted_standardisation, setting_of
from scripts.training.building import build_model, built, freeze
from scripts.training.options import options_of
from tuning.sizes.check import Size


def size_of(recipe: Mapping[str, Any], capability: tuple[int, int] | None = None) -> Size:
    """The size of a trial, on one of its devices.

    Args:
        recipe: Option -> value.
        capability: The compute capability of the GPUs that it is to run on; None: it runs on CPUs.

    Raises:
        InputError: It can't be trained, and why.
    """
    setting = _setting(options_of({**recipe, "run": ""}), capability)
    options = setting.options
    keras.config.set_dtype_policy(setting.hardware.precision)
    # Code of the user's own may look at the values.
    with contextlib.nullcontext() if options["model"].is_own else without_kernels():
        standardisation = _standardisation(setting)
        model = build_model(setting, standardisation)
        _require_stages(setting, model, standardisation)
        calls = calls_of(model, setting.spec.shape)
        images = setting.parts.size // options["training"].accumulate
        memory = 0
        for phase in setting.phases:
            freeze(setting, model, phase)
            optimizer = build_optimizer(options["optimizer"], options["training"].batch_size)
            memory = max(memory, memory_of(model, calls, optimizer, images).total)
    return Size(parameters=parameters_in(model.variables), memory=memory)


def forget_models() -> None:
    """Frees what the models that were built have left in Keras."""
    keras.backend.clear_session()
    gc.collect()


def _setting(options: dict[str, Any], capability: tuple[int, int] | None) -> Setting:
    """The options resolved as on one device of those that the trial gets: the others hold the same."""
    hardware, which = options["hardware"], options["model"]
    # Of several workers it is not known how many devices each has.
    parts = Parts(batch_size=options["training"].batch_size, replicas=hardware.replicas or 1)
    if which.is_backbone:
        options["backbone"].require_fitting(which.model)
    precision = hardware.precision
    if precision == "auto":
        precision = precision_on(capability) if capability else "float32"
    options = {
        **options,
        "backbone": dataclasses.replace(options["backbone"], weights="none"),
        "training": dataclasses.replace(options["training"], batch_size=parts.size),
    }
    one = Hardware(
        strategy=tf.distribute.get_strategy(), devices=("CPU:0",), precision=precision, xla=False, options=hardware
    )
    run = options["run"]
    return setting_of(options, read_manifest(Path(run.data)), one, synthetic=run.synthetic)


def _standardisation(setting: Setting) -> Standardisation:
    """Without what would be fitted."""
    unfitted = dict.fromkeys(("featurewise_center", "featurewise_std_normalization", "zca_whitening"), False)
    return fitted_standardisation(dataclasses.replace(setting.options["generator"], **unfitted), None, setting.spec)


def _require_stages(setting: Setting, model: keras.Model, standardisation: Standardisation) -> None:
    """Refuses a model that can't be built for the smaller images of its first epochs."""
    build_stages(
        setting.options["resizing"],
        model,
        setting.spec.shape,
        setting.hardware,
        lambda shape: built(setting, shape, standardisation),
    )
