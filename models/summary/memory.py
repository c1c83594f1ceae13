"""What a training step holds in memory: weights, gradients, the optimizer's slots, what the backward pass needs of the
forward pass, and what the largest call works on. The scratch space of kernels and the batches that wait come on top.

What the backward pass needs was held against what TensorFlow 2.21 itself hands from one pass to the other, uncompiled:
1.00 of it for VGG16, MobileNetV2 and Xception, 0.98 for EfficientNetB0, 0.94 to 0.99 for the CNN.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence

import keras
import tensorflow as tf

from models.summary.calls import UNTRACED, Call, Tensor

# Kinds whose kernels' gradients are made of their input.
_WEIGHING = {"Dense", *(f"{kind}{rank}D" for kind in ("Conv", "DepthwiseConv", "SeparableConv") for rank in "123")}
_WEIGHING |= {f"Conv{rank}DTranspose" for rank in "123"}
# Linear in what comes in: nothing of it is needed.
_LINEAR = {
    "Add", "Average", "AveragePooling2D", "Cast", "Concatenate", "Cropping2D", "GlobalAveragePooling2D", "Mean",
    "Normalization", "Rescaling", "Subtract", "Sum", "UpSampling2D", "ZeroPadding2D",
}  # fmt: skip
_VIEWS = {"Flatten", "Identity", "Reshape"}  # the same numbers in the same place
_DROPPING = {"Dropout", "SpatialDropout2D"}
# Activations whose slope follows from what they gave; that of others from what they were given.
_BY_OUTPUT = {"ELU", "ReLU", "Relu", "Relu6", "Sigmoid", "Softmax", "Sqrt", "Tanh", "elu", "exponential", "relu",
              "relu6", "selu", "sigmoid", "softmax", "tanh"}  # fmt: skip
# More maps that TensorFlow's own gradients hold (2.21, uncompiled; XLA fuses them).
_MORE_MAPS = {"silu": 1, "gelu": 4, "LayerNormalization": 1}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memory:
    """Of a training step, in bytes.

    Attributes:
        weights, gradients, optimizer: Of the model.
        activations: That the backward pass needs, of the whole batch.
        working: Inputs and output of the largest call, of the whole batch: all that inference and frozen layers hold.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    working: int

    @property
    def total(self) -> int:
        """All together."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.working


def memory_of(
    model: keras.Model, calls: Sequence[Call], optimizer: keras.optimizers.Optimizer, batch_size: int
) -> Memory:
    """Of one step of training on one device.

    Args:
        model: As it is to be trained: what is frozen has no gradients, and below it nothing is kept.
        calls: Of the model.
        optimizer: Is built for the model when it is not.
        batch_size: Of a replica; of its equal parts, where gradients are accumulated.
    """
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    return Memory(
        weights=_bytes(model.variables),
        gradients=_bytes(model.trainable_variables),
        optimizer=_bytes(optimizer.variables),
        activations=batch_size * activation_bytes(calls),
        working=batch_size * max((call.output.bytes + sum(t.bytes for t in call.inputs) for call in calls), default=0),
    )


def activation_bytes(calls: Sequence[Call]) -> int:
    """What the backward pass needs of the forward pass of one image; what several calls need is held once."""
    kept: dict[tuple, int] = {}
    on_the_way: set[int] = {UNTRACED}  # calls whose output's gradient is needed
    buffers: dict[int, tuple] = {}  # call -> the buffer that its output is in

    def keep(where: tuple, tensor: Tensor) -> None:
        kept[where] = max(kept.get(where, 0), tensor.bytes)

    for place, call in enumerate(calls):
        incoming = [_buffer(tensor, buffers, (place, i)) for i, tensor in enumerate(call.inputs)]
        buffers[place] = incoming[0] if call.kind in _VIEWS and incoming else ("output", place)
        flowing = any(source in on_the_way for tensor in call.inputs for source in tensor.sources)
        if not flowing and not call.trainable:
            continue
        on_the_way.add(place)
        if _keeps_input(call):
            for where, tensor in zip(incoming, call.inputs, strict=True):
                keep(where, tensor)
        if _keeps_output(call):
            keep(buffers[place], call.output)
        kept["more", place] = _more(call)
    return sum(kept.values())


def _keeps_input(call: Call) -> bool:
    kind = call.kind
    if kind in _WEIGHING:
        return bool(call.trainable)
    if kind == "BatchNormalization":  # frozen it is a factor and a shift
        return call.operation.trainable
    if kind == "Activation" and _function(call) == "linear":
        return False
    return not (kind in _LINEAR | _VIEWS | _DROPPING or _slope_by_output(call))


def _keeps_output(call: Call) -> bool:
    if call.kind in _WEIGHING:  # what its own activation gave, or was given
        return _function(call) != "linear"
    return call.kind == "MaxPooling2D" or _slope_by_output(call)


def _slope_by_output(call: Call) -> bool:
    return (_function(call) if call.kind == "Activation" else call.kind) in _BY_OUTPUT


def _more(call: Call) -> int:
    """Bytes that only this call knows of."""
    if call.kind in _DROPPING:  # which ones were dropped: a byte each
        return call.output.values
    if call.kind.startswith("SeparableConv"):  # between its two kernels
        channels = math.prod(call.operation.depthwise_kernel.shape[-2:])
        return call.output.bytes // call.output.shape[-1] * channels
    return call.output.bytes * _MORE_MAPS.get(_function(call) or call.kind, 0)


def _function(call: Call) -> str:
    """The name of its activation; "" where it has none."""
    return getattr(getattr(call.operation, "activation", None), "__name__", "")


def _buffer(tensor: Tensor, buffers: dict[int, tuple], own: tuple) -> tuple:
    """Where an input is held: in the output it comes from; what is joined between layers by itself."""
    if len(tensor.sources) == 1 and tensor.sources[0] != UNTRACED:
        return buffers.get(tensor.sources[0], ("image",))
    return ("input", *own)


def _bytes(variables: Iterable[keras.Variable]) -> int:
    return sum(math.prod(variable.shape) * tf.as_dtype(variable.dtype).size for variable in variables)
