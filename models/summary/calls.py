"""What a model does with an image, call by call: a layer's name, its inputs and output, and who made the inputs.

Seen while the model is traced once on an image, so that it is the same for functional models, for nested ones and for
subclassed ones, whose layers Keras keeps no graph of. Nothing is computed.
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from base.errors import InputError
from models.training.keras_internals import all_operations, in_mode, replaced_calls

IMAGE = -1  # the source that no call is
UNTRACED = -2  # made between layers, by what can't be followed

# Layers that are only what is inside of them.
_CONTAINERS = {"Layer", "Model", "Functional", "Sequential"}
# What a subclassed model does between its layers, value by value: `x + shortcut`, `x / 255`.
_BETWEEN = {"Add", "AddV2", "Cast", "Identity", "Maximum", "Minimum", "Mul", "Neg", "RealDiv", "Relu", "Relu6", "Sub"}
_FIXED = {"Const", "ReadVariableOp"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tensor:
    """An input or output of a call.

    Attributes:
        shape: Of one image, without the batch.
        dtype: Its name.
        sources: The places of the calls that it comes from, IMAGE, or UNTRACED; several where a subclassed model joins
            their outputs between its layers; none of a constant.
    """

    shape: tuple[int, ...]
    dtype: str
    sources: tuple[int, ...] = ()

    @property
    def values(self) -> int:
        """Numbers, of one image."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Of one image."""
        return self.values * tf.as_dtype(self.dtype).size


@dataclasses.dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a layer, or of an operation of a functional model; its name follows those of the models around it."""

    name: str
    operation: keras.Operation
    inputs: tuple[Tensor, ...]
    output: Tensor

    @property
    def kind(self) -> str:
        """See `kind_of`."""
        return kind_of(self.operation)

    @property
    def trainable(self) -> list[keras.Variable]:
        """Its variables that are trained."""
        return getattr(self.operation, "trainable_variables", [])


def kind_of(operation: keras.Operation) -> str:
    """The name of its class in Keras; of a class of the user's own that of the first one of Keras it comes from."""
    return next(cls.__name__ for cls in type(operation).__mro__ if cls.__module__.startswith("keras."))


def calls_of(model: keras.Model, image_shape: tuple[int, int, int]) -> list[Call]:
    """The calls of a model in inference, in order.

    Args:
        model: Built; takes images `[B, H, W, C]`.
        image_shape: (H, W, C).

    Raises:
        InputError: It takes no such images.
    """
    calls: list[Call] = []
    made: dict[tuple[int, str], int] = {}  # graph and name of a tensor -> the call that made it last

    def see(name: str, operation: keras.Operation, inputs: Sequence[tf.Tensor], outputs: Sequence[tf.Tensor]) -> None:
        sources = [_described(tensor, _sources(tensor, made)) for tensor in inputs]
        made.update({_key(tensor): len(calls) for tensor in outputs})
        calls.append(Call(name=name, operation=operation, inputs=tuple(sources), output=_described(outputs[0])))

    def passed(image: tf.Tensor) -> Any:
        made[_key(image)] = IMAGE
        return model(image, **in_mode(model, training=False))

    with watched(model, see):
        try:
            tf.function(passed, autograph=False).get_concrete_function(tf.TensorSpec((1, *image_shape)))
        except (ValueError, TypeError, tf.errors.OpError) as error:
            raise InputError(
                f"Expected a model that takes images of shape {list(image_shape)}. "
                f"Received: error={type(error).__name__}: {str(error).strip().splitlines()[0]}."
            ) from None
    return calls


See = Callable[[str, keras.Operation, Sequence[tf.Tensor], Sequence[tf.Tensor]], None]


@contextlib.contextmanager
def watched(model: keras.Model, see: See) -> Iterator[None]:
    """While it is open, `see` is told of every call inside the model that holds no other call.

    Args:
        model: Called eagerly, or traced.
        see: Takes name, operation, the tensors that came in, and those that went out.
    """
    path: list[str] = []
    holding: list[bool | None] = []  # for each open call, whether there was one inside it; None: it is one thing

    def look(
        operation: keras.Operation, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if holding and holding[-1] is None:
            return call(*args, **kwargs)
        path.append(operation.name)
        holding.append(False if kind_of(operation) in _CONTAINERS else None)
        try:
            outputs = call(*args, **kwargs)
            name = "/".join(path)
        finally:
            path.pop()
            inner = holding.pop()
        if holding:
            holding[-1] = True
        tensors = _tensors(outputs)
        if not inner and tensors:
            see(name, operation, _tensors((args, kwargs)), tensors)
        return outputs

    with replaced_calls(all_operations(model), look):
        yield


def _tensors(values: Any) -> list[tf.Tensor]:
    return [value for value in tf.nest.flatten(values) if tf.is_tensor(value)]


def _described(tensor: tf.Tensor, sources: Sequence[int] = ()) -> Tensor:
    return Tensor(shape=tuple(tensor.shape[1:]), dtype=tensor.dtype.name, sources=tuple(sources))


def _key(tensor: tf.Tensor) -> tuple[int, str]:
    return id(tensor.graph), tensor.name


def _sources(tensor: tf.Tensor, made: dict[tuple[int, str], int]) -> list[int]:
    """The calls that a tensor comes from: the one that made it, or those before what was done between layers."""
    if _key(tensor) in made:
        return [made[_key(tensor)]]
    if tensor.op.type in _FIXED:
        return []
    if tensor.op.type in _BETWEEN:
        return sorted({source for before in tensor.op.inputs for source in _sources(before, made)})
    return [UNTRACED]
