"""Which pixels a place of a feature map can see: the arithmetic of kernels, strides and padding, call by call.

Araujo, Norris, Sim 2019, "Computing receptive fields of convolutional neural networks", Distill.
"""

import dataclasses
import enum
from collections.abc import Iterable, Sequence

import numpy as np

from models.summary.calls import IMAGE, UNTRACED, Call

_WINDOWED = {"AveragePooling2D", "Conv2D", "DepthwiseConv2D", "MaxPooling2D", "SeparableConv2D"}
# Each place of the output comes from the same place of the inputs.
_POINTWISE = {
    "Abs", "Activation", "ActivityRegularization", "Add", "AlphaDropout", "Average", "BatchNormalization",
    "Cast", "Clip", "CustomScaleLayer", "Dense", "Divide", "Dropout", "ELU", "Exp", "GaussianDropout",
    "GaussianNoise", "Gelu", "HardSigmoid", "HardSilu", "Identity", "LayerScale", "LeakyReLU", "Log", "Maximum",
    "Minimum", "Multiply", "Negative", "Normalization", "PReLU", "Power", "ReLU", "Relu", "Relu6", "Rescaling",
    "Sigmoid", "Silu", "Softmax", "SpatialDropout2D", "Sqrt", "Square", "StochasticDepth", "Subtract", "Tanh",
    "TrueDivide",
}  # fmt: skip
_ALONG_AN_AXIS = {"Concatenate", "LayerNormalization", "Take"}
_OVER_AXES = {"Amax", "Max", "Mean", "Std", "Sum", "Var"}
_OVER_ALL = {"Flatten", "GlobalAveragePooling2D", "GlobalMaxPooling2D"}


@dataclasses.dataclass(frozen=True)
class Field:
    """The receptive field of a feature map's places; each number along (height, width).

    Attributes:
        size: Pixels that a place sees.
        stride: Pixels between the fields of neighbouring places.
        start: Where the field of the first place begins; negative in the padding.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    start: tuple[int, int]


class Extent(enum.Enum):
    """Where there is no field of a place."""

    WHOLE = "the whole image"
    UNKNOWN = "not known"


PIXEL = Field((1, 1), (1, 1), (0, 0))


def receptive_fields(calls: Sequence[Call]) -> list[Field | Extent]:
    """Of each call's output.

    Where maps are merged the field takes in those of all of them. What has seen the whole image and only weighs the
    maps, as in squeeze-and-excitation, leaves the maps' field as it is.
    """
    seen: dict[int, Field | Extent] = {IMAGE: PIXEL, UNTRACED: Extent.UNKNOWN}
    for place, call in enumerate(calls):
        sources = {source for tensor in call.inputs for source in tensor.sources}
        seen[place] = _after(call, _joined(seen[source] for source in sorted(sources)))
    return [seen[place] for place in range(len(calls))]


def _after(call: Call, before: Field | Extent) -> Field | Extent:
    if isinstance(before, Extent):
        return before
    kind, operation = call.kind, call.operation
    if kind in _WINDOWED:
        return _windowed(call, before)
    if kind == "ZeroPadding2D":
        return _moved(before, [-near for near, _ in operation.padding])
    if kind == "Cropping2D":
        return _moved(before, [near for near, _ in operation.cropping])
    if kind in _OVER_ALL:
        return Extent.WHOLE
    channels = len(call.inputs[0].shape)  # the last axis, counted with the batch
    if kind in _OVER_AXES:
        axes = _axes(operation.axis, channels)
        return before if axes == {channels} else Extent.WHOLE if axes >= {1, 2} else Extent.UNKNOWN
    if kind == "Pad":  # a pair of numbers an axis, or one for all
        widths = [tuple(width) for width in operation.pad_width]
        return before if len(widths) == channels + 1 and {*widths[:-1]} == {(0, 0)} else Extent.UNKNOWN
    along = kind in _ALONG_AN_AXIS and _axes(operation.axis, channels) == {channels}
    return before if kind in _POINTWISE or along else Extent.UNKNOWN


def _windowed(call: Call, before: Field) -> Field:
    """The field behind a window: of size (k - 1) d + 1 places, moved by its stride, begun in the padding."""
    operation, size = call.operation, np.array(call.inputs[0].shape[:2])
    windows = np.array(getattr(operation, "kernel_size", None) or operation.pool_size)
    windows = (windows - 1) * np.array(getattr(operation, "dilation_rate", (1, 1))) + 1
    steps = np.array(operation.strides)
    # "same" pads as little as possible, and where that is odd more behind: it depends on the size.
    needed = np.maximum((-(-size // steps) - 1) * steps + windows - size, 0)
    padding = needed // 2 if operation.padding == "same" else np.zeros(2, int)
    stride = np.array(before.stride)
    return Field(
        _pair(before.size + (windows - 1) * stride), _pair(stride * steps), _pair(before.start - padding * stride)
    )


def _moved(field: Field, places: Sequence[int]) -> Field:
    return dataclasses.replace(field, start=_pair(np.array(field.start) + np.array(places) * field.stride))


def _joined(fields: Iterable[Field | Extent]) -> Field | Extent:
    fields = list(fields)
    if Extent.UNKNOWN in fields:
        return Extent.UNKNOWN
    maps = [field for field in fields if field is not Extent.WHOLE]
    if not maps:
        return Extent.WHOLE
    if len({field.stride for field in maps}) > 1:
        return Extent.UNKNOWN
    starts = np.array([field.start for field in maps])
    ends = starts + np.array([field.size for field in maps])
    return Field(_pair(ends.max(axis=0) - starts.min(axis=0)), maps[0].stride, _pair(starts.min(axis=0)))


def _axes(axis: int | Sequence[int] | None, last: int) -> set[int]:
    if axis is None:
        return set(range(last + 1))
    return {value % (last + 1) for value in np.atleast_1d(axis).tolist()}


def _pair(values: np.ndarray) -> tuple[int, int]:
    return int(values[0]), int(values[1])
