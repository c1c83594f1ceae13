"""Every hyperparameter of the CNN, as options; free of TensorFlow."""

import dataclasses
from typing import Literal

from base.errors import require
from base.options import option

Activation = Literal["relu", "leaky_relu", "elu", "selu", "gelu", "silu", "tanh", "sigmoid", "softplus"]
Initializer = Literal[
    "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal", "orthogonal"
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CNNOptions:
    """Blocks of convolution, normalisation, activation, pooling and dropout; then dense layers and a head."""

    blocks: int = option(3, "number of convolution blocks")
    convolutions: int = option(1, "convolutions a block, each followed by normalisation and activation")
    filters: int = option(32, "filters of the first block's convolutions")
    filter_growth: float = option(2.0, "factor from one block's filters to the next's")
    kernel_size: int = option(3, "height and width of the convolutions' kernels")
    stride: int = option(1, "stride of each block's first convolution")
    padding: Literal["same", "valid"] = option("same", "padding of the convolutions")
    activation: Activation = option("relu", "after each convolution and hidden dense layer")
    batch_norm: bool = option(False, "batch normalisation between convolution and activation, and in dense layers")
    batch_norm_momentum: float = option(
        0.9, "of its moving averages; Keras' 0.99 leaves validation at chance for epochs when epochs are short"
    )
    pooling: Literal["max", "average", "l2", "none"] = option("max", "at each block's end")
    pool_size: int = option(2, "height and width of the pooling windows, and their stride")
    dropout: float = option(0.0, "share of single values dropped at each block's end")
    spatial_dropout: float = option(0.0, "share of whole feature maps dropped at each block's end")
    flatten: Literal["flatten", "average", "max"] = option(
        "flatten", "from feature maps to a vector: flatten, or pool over all places"
    )
    dense_layers: int = option(1, "hidden dense layers before the head")
    dense_units: int = option(128, "units of each")
    dense_dropout: float = option(0.0, "share of values dropped after each hidden dense layer, or before the head")
    kernel_initializer: Initializer = option("he_normal", "of the convolutions and dense layers")
    l1: float = option(0.0, "L1 penalty on the kernels")
    l2: float = option(0.0, "L2 penalty on the kernels")

    def __post_init__(self) -> None:
        for name in ("blocks", "dense_layers"):
            _require(self, name, getattr(self, name) >= 0, "of at least 0")
        for name in ("convolutions", "filters", "kernel_size", "stride", "pool_size", "dense_units"):
            _require(self, name, getattr(self, name) >= 1, "of at least 1")
        for name in ("dropout", "spatial_dropout", "dense_dropout", "batch_norm_momentum"):
            _require(self, name, 0 <= getattr(self, name) < 1, "from 0 to below 1")
        for name in ("l1", "l2"):
            _require(self, name, getattr(self, name) >= 0, "of at least 0")
        _require(self, "filter_growth", self.filter_growth > 0, "above 0")


def _require(options: CNNOptions, name: str, holds: bool, expected: str) -> None:
    require(holds, f"Expected --{name.replace('_', '-')} {expected}", **{name: getattr(options, name)})
