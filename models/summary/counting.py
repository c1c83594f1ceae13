"""How much a call computes for one image: multiply-adds, which are what papers state, and floating-point operations.

Each multiply-add of a kernel is two operations. Added to them are those of biases, activations, normalisation, pooling
and merging, a fixed number for each value. Padding counts as if it were pixels, as in the published figures.
"""

import dataclasses
import math

from models.summary.calls import Call

_KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel")
_CONVOLUTIONS = {f"{kind}{rank}D" for kind in ("Conv", "DepthwiseConv", "SeparableConv") for rank in "123"}
_TRANSPOSED = {f"Conv{rank}DTranspose" for rank in "123"}

# Operations for each value of the output; with several inputs for each beyond the first.
_MERGING = {"Add", "Average", "Divide", "Maximum", "Minimum", "Multiply", "Subtract", "TrueDivide"}
# For each value of the output. Batch normalisation in inference is a factor and a shift; that of layers and groups is
# mean, deviations, squares and their mean, division, gamma and beta.
_PER_OUTPUT = {
    **dict.fromkeys(("Activation", "ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax"), 1),
    **dict.fromkeys(("Abs", "Clip", "Exp", "Log", "Negative", "Power", "Sqrt", "Square", "LayerScale"), 1),
    **dict.fromkeys(("Gelu", "HardSigmoid", "HardSilu", "Relu", "Relu6", "Sigmoid", "Silu", "Tanh"), 1),
    **dict.fromkeys(("BatchNormalization", "CustomScaleLayer", "Normalization", "Rescaling"), 2),
    **dict.fromkeys(("LayerNormalization", "GroupNormalization"), 7),
}
_PER_INPUT = {
    **{f"Global{kind}Pooling{rank}D": 1 for kind in ("Average", "Max") for rank in "123"},
    **dict.fromkeys(("Amax", "Max", "Mean", "Sum"), 1),
    **dict.fromkeys(("Std", "Var"), 3),
}
_POOLING = {f"{kind}Pooling{rank}D" for kind in ("Average", "Max") for rank in "123"}
# Values are moved or dropped, and nothing is computed.
_FREE = {
    "ActivityRegularization", "AlphaDropout", "Cast", "Concatenate", "Cropping1D", "Cropping2D", "Dropout", "Flatten",
    "GaussianDropout", "GaussianNoise", "GetItem", "Identity", "Pad", "Permute", "RepeatVector", "Reshape",
    "SpatialDropout1D", "SpatialDropout2D", "Squeeze", "StochasticDepth", "Take", "Transpose", "ZeroPadding1D",
    "ZeroPadding2D",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Count:
    """Of one call, for one image."""

    multiply_adds: int
    flops: int


def count(call: Call) -> Count | None:
    """What a call computes; None where that is not known: the layer is neither Keras' own nor made of such."""
    kernels = _multiply_adds(call)
    if kernels is not None:
        extra = bool(call.operation.use_bias) + _is_curved(call.operation.activation)
        return Count(kernels, 2 * kernels + extra * call.output.values)
    single = _operations(call)
    return None if single is None else Count(0, single)


def _multiply_adds(call: Call) -> int | None:
    """Each kernel is applied at each place once: of the output, or of the input where that is spread."""
    if call.kind == "Dense":
        places = call.output.shape[:-1]
    elif call.kind in _CONVOLUTIONS:
        places = _places(call, call.output.shape)
    elif call.kind in _TRANSPOSED:
        places = _places(call, call.inputs[0].shape)
    else:
        return None
    kernels = [getattr(call.operation, name) for name in _KERNELS if hasattr(call.operation, name)]
    return math.prod(places) * sum(math.prod(kernel.shape) for kernel in kernels)


def _places(call: Call, shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[1:] if call.operation.data_format == "channels_first" else shape[:-1]


def _is_curved(activation: object) -> bool:
    return activation is not None and getattr(activation, "__name__", "") != "linear"


def _operations(call: Call) -> int | None:
    kind, values = call.kind, call.output.values
    if kind in _FREE or kind.startswith("Random"):  # Keras' augmentation does nothing in inference
        return 0
    if kind in _MERGING:
        return values * max(len(call.inputs) - 1, 1)
    if kind in _POOLING:
        return values * math.prod(call.operation.pool_size)
    if kind in _PER_OUTPUT:
        return values * _PER_OUTPUT[kind]
    return call.inputs[0].values * _PER_INPUT[kind] if kind in _PER_INPUT else None
