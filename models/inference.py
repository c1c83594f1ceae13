"""A trained model in use: images in, a score for each class out, compiled for batches of one size."""

import contextlib
import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from base.errors import InputError, input_error, require
from models.model_source import ModelSource
from models.own_model import own_classes
from models.training.keras_internals import in_mode

LoadBackbone = Callable[[str, str], keras.Model]
"""(name, weights: "imagenet" or a file) -> a model with ImageNet's own top, from pixels `[B, H, W, 3]`, 0-255."""

_SIGMOID_UNIT = 1
_PROBED = 2  # random images that a model is tried on


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """What is loaded: a function of a batch, and what it takes.

    Attributes:
        call: From images, pixels `[B, H, W, C]` of `dtype` or files string `[B]`, to outputs.
        dtype: Of the images; string: it decodes files itself.
        shape: (height, width, channels), None where it leaves them open; of pixels only.
        batch: The only batch size that it takes; None: any.
        kept: What must live as long.
    """

    call: Callable[[tf.Tensor], Any]
    dtype: tf.DType
    shape: tuple[int | None, int | None, int | None] = (None, None, None)
    batch: int | None = None
    kept: Any = None

    @property
    def takes_files(self) -> bool:
        """Whether it decodes images itself."""
        return self.dtype == tf.string


class Classifier:
    """A network that gives scores of classes.

    Args:
        network: That was loaded.
        source: Where from.
        shape: (height, width, channels) of the images; None for a network that takes files.
        batch_size: Images of a call, unless the network takes only another.

    Raises:
        InputError: It gives neither a score for each of several classes nor one probability, or other classes than the
            names that are known.
    """

    def __init__(
        self, network: Network, source: ModelSource, shape: tuple[int, int, int] | None, batch_size: int
    ) -> None:
        self._network, self._name = network, source.name
        self.batch_size = network.batch or batch_size
        self._units = _units(network, shape, self.batch_size, source.name)
        count = 2 if self._units == _SIGMOID_UNIT else self._units
        self.classes = source.classes or tuple(map(str, range(count)))
        require(
            len(self.classes) == count,
            f"Expected a name for each of the {count} classes of {source.name}",
            names=len(self.classes),
            do="Give them with --classes FILE, a line each, in the order of the model's outputs.",
        )
        signature = tf.TensorSpec([self.batch_size, *(shape or ())], tf.string if network.takes_files else tf.uint8)
        self._compiled = tf.function(self._outputs, input_signature=[signature], autograph=False)

    def scores(self, images: Sequence[np.ndarray] | Sequence[bytes]) -> np.ndarray:
        """Scores of up to `batch_size` images; the rest of the batch is filled up, so that there is one compilation.

        Args:
            images: Pixels uint8 `[height, width, channels]`, 0-255, or files.

        Returns:
            float32 `[N, K]`; of one sigmoid unit `[1 - p, p]`.

        Raises:
            InputError: One unit gives no probability.
            tf.errors.OpError: A file that the network can't decode.
        """
        filled = [*images, *[images[0]] * (self.batch_size - len(images))]
        batch = tf.constant(filled) if self._network.takes_files else np.stack(filled)
        scores = self._compiled(batch).numpy()[: len(images)]
        if self._units == _SIGMOID_UNIT:
            _require_probabilities(scores[:, 1], self._name)
        return scores

    def _outputs(self, images: tf.Tensor) -> tf.Tensor:
        outputs = tf.cast(_single(self._network.call(tf.cast(images, self._network.dtype))), tf.float32)
        return tf.concat([1 - outputs, outputs], axis=1) if self._units == _SIGMOID_UNIT else outputs


def load_network(source: ModelSource, weights: str = "imagenet", load_backbone: LoadBackbone | None = None) -> Network:
    """Loads a model.

    Args:
        source: Which.
        weights: Of a backbone.
        load_backbone: What builds backbones.

    Raises:
        InputError: A file that can't be loaded, or a model of several inputs.
    """
    with contextlib.suppress(RuntimeError):  # TensorFlow runs already, and has taken what it has taken
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
    if source.kind == "saved_model":
        return _saved_model(source)
    model = load_backbone(source.name, weights) if source.kind == "backbone" else _keras_model(source)
    shape = getattr(model, "input_shape", None)  # a subclassed model has none
    fits = shape is None or isinstance(shape, tuple) and len(shape) == 4
    require(fits, f"Expected {source.name} to take images [B, height, width, channels]", takes=str(shape))
    batch, *sides = shape or (None, None, None, None)
    mode = in_mode(model, training=False)
    return Network(
        call=lambda images: model(images, **mode), dtype=tf.uint8, shape=tuple(sides), batch=batch, kept=model
    )


def _keras_model(source: ModelSource) -> keras.Model:
    # The file may have gone since: Keras then says which class it lacks.
    there = source.own is not None and Path(source.own.rpartition(":")[0]).is_file()
    own = own_classes(source.own) if there else {}
    try:
        return keras.models.load_model(source.path, compile=False, custom_objects=own)
    except Exception as error:  # zip, JSON, HDF5, and whatever the classes of a file of one's own raise
        # Of the many lines this one names the class.
        lost = re.search(r"Could not locate \w+ '[^']*'", str(error))
        first = next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__)
        expected, reason = f"Expected a model that Keras can load at {source.path}", lost[0] if lost else first[:300]
        raise input_error(expected, error=reason, do=_remedy(source) if lost else "") from error


def _remedy(source: ModelSource) -> str:
    """What to do about a model that Keras can't load because it lacks a class of a file of one's own."""
    if source.own is not None:
        file = source.own.rpartition(":")[0]
        where = "which does not hold it" if Path(file).is_file() else "which is not there"
        return f"The run names {file}, {where}: bring it back."
    whose = "a file of its author's own" if source.needs is None else repr(source.needs)
    return f"Keras needs the classes of {whose}: give the folder of the run that it came from, which names that file."


def _saved_model(source: ModelSource) -> Network:
    try:
        loaded = tf.saved_model.load(str(source.path))
    except (OSError, ValueError, tf.errors.OpError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise input_error(f"Expected a SavedModel at {source.path}", error=reason[:300]) from None
    names = list(loaded.signatures)
    name = "serving_default" if "serving_default" in names else names[0] if len(names) == 1 else None
    require(name is not None, f"Expected a signature serving_default in {source.path}", signatures=names)
    function = loaded.signatures[name]
    inputs, outputs = function.structured_input_signature[1], function.structured_outputs
    spec = next(iter(inputs.values()), None)
    takes_files = spec is not None and spec.dtype == tf.string and spec.shape.rank == 1
    require(
        len(inputs) == 1 and (takes_files or (spec.dtype != tf.string and spec.shape.rank == 4)),
        f"Expected the signature {name!r} of {source.path} to take files, string [B], or pixels [B, H, W, C]",
        takes={key: f"{value.dtype.name} {value.shape}" for key, value in inputs.items()},
    )
    given, score = next(iter(inputs)), _scores_of(outputs, source)
    batch, *sides = spec.shape.as_list()
    return Network(
        call=lambda images: function(**{given: images})[score],
        dtype=spec.dtype,
        shape=tuple(sides) or (None, None, None),
        batch=batch,
        kept=loaded,  # its variables go with it
    )


def _scores_of(outputs: dict[str, tf.TensorSpec], source: ModelSource) -> str:
    """The name of the output that holds the scores: the only one of floats, or the one that is called so."""
    floats = [name for name, spec in outputs.items() if spec.dtype.is_floating and spec.shape.rank in (2, None)]
    found = floats if len(floats) == 1 else [name for name in floats if name in ("scores", "probabilities")]
    require(
        len(found) == 1,
        f"Expected one output of scores, float [B, classes], of {source.path}",
        outputs={name: f"{spec.dtype.name} {spec.shape}" for name, spec in outputs.items()},
    )
    return found[0]


def _single(outputs: Any) -> tf.Tensor:
    """The outputs of a model that may give them as a list of one."""
    flat = tf.nest.flatten(outputs)
    if len(flat) != 1:
        raise input_error("Expected a model of one output", outputs=len(flat))
    return tf.convert_to_tensor(flat[0])


def _units(network: Network, shape: tuple[int, int, int] | None, batch_size: int, name: str) -> int:
    """How many outputs an image has, found out on random images."""
    count = network.batch or min(_PROBED, batch_size)
    pixels = np.random.default_rng(0).integers(0, 256, (count, *(shape or (64, 64, 3))), np.uint8)
    images = tf.cast(pixels, network.dtype) if shape else tf.stack([tf.io.encode_jpeg(one) for one in pixels])
    try:
        outputs = _single(network.call(images))
    except InputError:
        raise
    except Exception as error:  # whatever a model that is not ours raises
        takes = f"pixels {[None, *shape]}" if shape else "JPEG files"
        reason = str(error).strip().partition("\n")[0]
        raise InputError(
            f"Expected {name} to take {takes}. Received: error={type(error).__name__}: {reason[:300]}."
        ) from error
    require(
        outputs.shape.rank == 2 and outputs.shape[0] == count and outputs.dtype.is_floating,
        f"Expected {name} to give scores of classes, float [B, classes], or one probability, [B, 1]",
        shape=[None, *outputs.shape[1:]] if outputs.shape.rank else [],
        dtype=outputs.dtype.name,
    )
    if outputs.shape[1] == _SIGMOID_UNIT:
        _require_probabilities(outputs.numpy(), name)
    return outputs.shape[1]


def _require_probabilities(values: np.ndarray, name: str) -> None:
    outside = values[(values < 0) | (values > 1)]  # what is no number is told image by image
    require(
        outside.size == 0,
        f"Expected the one unit of {name} to give the probability of the second class, as a sigmoid does",
        value=float(outside.flat[0]) if outside.size else None,
        do="End the model with a sigmoid activation.",
    )
