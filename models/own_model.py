"""A model of the user's own: `--model path/to/file.py:function`."""

import importlib.util
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np

from base.errors import InputError, input_error, require
from models.heads import Head
from models.standardise import DEFAULT, Standardisation, standardised
from models.training.keras_internals import all_layers


def build_own_model(
    where: str, input_shape: tuple[int, int, int], head: Head, standardisation: Standardisation = DEFAULT
) -> keras.Model:
    """Calls the function that `where` names, and checks what it gives.

    Args:
        where: "path/to/file.py:function". The function takes (height, width, channels) and the number of classes (or of
            the head's units), and returns a `keras.Model`: Sequential, Functional or subclassed. The model takes pixels
            `[B, H, W, C]`, 0-255, and gives what the head does: for softmax probabilities `[B, K]`.
        input_shape: (height, width, channels).
        head: What the outputs must fit.
        standardisation: Layers in front of the model; by default none: it takes pixels.

    Raises:
        InputError: No such file or function, an error in it, no model, or outputs that do not fit.
    """
    path, _, name = where.rpartition(":")
    function = _function(Path(path), name)
    try:
        model = function(input_shape, head.units)
    except Exception as error:  # whatever the user's code raises
        raise InputError(
            f"Expected {where} to build a model. Received: error={type(error).__name__}: {error}. "
            "It is called with the image shape (height, width, channels) and the number of outputs."
        ) from error
    require(isinstance(model, keras.Model), f"Expected {where} to return a keras.Model", returned=type(model).__name__)
    _check(model, where, input_shape, head)
    _require_savable(model, where)
    if standardisation == DEFAULT:
        return model
    image = keras.Input(input_shape, name="image")
    return keras.Model(image, model(standardised(image, standardisation)))


def needs_its_file(model: keras.Model) -> bool:
    """Whether a saved model can only be loaded where its classes have been imported."""
    return any(not type(layer).__module__.startswith("keras.") for layer in (model, *all_layers(model)))


def own_classes(where: str) -> dict[str, type]:
    """The classes of the file that `where` names, which Keras asks for to load a model that is made of them.

    Args:
        where: As `build_own_model` takes it.

    Raises:
        InputError: No such file, or an error in it.
    """
    module = _module(Path(where.rpartition(":")[0]))
    return {name: value for name, value in vars(module).items() if inspect.isclass(value)}


def _function(path: Path, name: str) -> Callable[..., Any]:
    module = _module(path)
    function = getattr(module, name, None)
    if not callable(function):
        there = [n for n, value in vars(module).items() if inspect.isfunction(value) and value.__module__ == path.stem]
        raise input_error(f"Expected a function in {path}", function=name, there=there)
    return function


def _module(path: Path) -> ModuleType:
    require(path.is_file(), "Expected --model as path/to/file.py:function, with a file that is there", file=str(path))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's code raises
        raise InputError(f"Expected {path} to run. Received: error={type(error).__name__}: {error}.") from error
    return module


def _require_savable(model: keras.Model, where: str) -> None:
    """Before hours are spent on a model that can't be written: Keras makes no config of a class with arguments."""
    try:
        keras.saving.serialize_keras_object(model)
    except (NotImplementedError, TypeError, ValueError) as error:
        match = re.search(r"Object (\w+) was created", str(error))
        raise input_error(
            f"Expected of {where} a model that Keras can save",
            do=f"Give {match[1] if match else 'its classes'} a get_config() that returns the arguments of __init__.",
        ) from None


def _check(model: keras.Model, where: str, input_shape: tuple[int, int, int], head: Head) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, *input_shape)).astype(np.uint8)
    try:
        outputs = keras.ops.convert_to_numpy(model(images, training=False))
    except Exception as error:  # whatever the user's layers raise
        raise InputError(
            f"Expected the model of {where} to take pixels uint8 {[None, *input_shape]}. "
            f"Received: error={type(error).__name__}: {str(error).splitlines()[0]}."
        ) from error
    require(
        outputs.shape == (2, head.units),
        f"Expected outputs [B, {head.units}] of {where}, for --head {head.name} and {head.classes} classes",
        shape=list(outputs.shape),
    )
    require(
        outputs.dtype in (np.float32, np.float64),
        f"Expected outputs of {where} in float32, whatever --precision is",
        dtype=str(outputs.dtype),
        do='Give the last layer dtype="float32".',
    )
    outputs = outputs.astype(np.float64)
    probable = ((outputs >= 0) & (outputs <= 1)).all()
    require(
        head.name == "linear"
        or (probable and (head.name == "sigmoid" or np.allclose(outputs.sum(axis=1), 1, atol=1e-2))),
        f"Expected probabilities as outputs of {where}, for --head {head.name}",
        first=outputs[0, :5].round(3).tolist(),
        do=f"End the model with a {head.name} activation.",
    )
