"""Backbones as options: their weights, their width, the head on top. Free of TensorFlow."""

import dataclasses
from pathlib import Path
from typing import Literal

from base.errors import nearest, require
from base.options import option
from models.backbones.table import BACKBONES

_SUFFIXES = (".h5", ".hdf5", ".keras")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackboneOptions:
    """Weights and width of a backbone, and the head on top of it."""

    weights: str = option(
        "auto",
        "imagenet (fetched once by Keras), none, or a file: .weights.h5, .h5 or .keras; auto: imagenet where "
        "keras.applications has them, else none",
    )
    width: float = option(1.0, "multiplies the filters of MobileNet, MobileNetV2 and MobileNetV3")
    backbone_norm_momentum: float = option(
        0.9,
        "of the moving averages of batch normalisation; 0 leaves each architecture its own, 0.99 to 0.9997, with which "
        "validation stays at chance for epochs when epochs are short",
    )
    head_pool: Literal["avg", "max", "flatten"] = option(
        "avg", "from feature maps to a vector: the mean or the maximum over all places, or all of them"
    )
    head_units: tuple[int, ...] = option((), "units of hidden dense layers (ReLU) before the last one: 256, or 512 128")
    head_dropout: float = option(0.0, "share of values dropped after each hidden dense layer, or before the last one")

    def __post_init__(self) -> None:
        known = ("auto", "imagenet", "none")
        require(
            self.weights in known or self.weights.endswith(_SUFFIXES),
            f"Expected --weights imagenet, none, or a file that ends in {', '.join(_SUFFIXES)}",
            weights=self.weights,
            do=sentence if (sentence := nearest(self.weights, known)).startswith("Did") else "",
        )
        require(self.width > 0, "Expected --width above 0", width=self.width)
        require(
            0 <= self.backbone_norm_momentum < 1,
            "Expected --backbone-norm-momentum from 0 to below 1",
            backbone_norm_momentum=self.backbone_norm_momentum,
        )
        require(all(n >= 1 for n in self.head_units), "Expected --head-units of at least 1", head_units=self.head_units)
        require(0 <= self.head_dropout < 1, "Expected --head-dropout from 0 to below 1", head_dropout=self.head_dropout)

    def weights_of(self, name: str) -> Path | Literal["imagenet"] | None:
        """Where the weights of a backbone come from; None: they are drawn at random.

        Args:
            name: Of the backbone.
        """
        if self.weights == "auto":
            return "imagenet" if name in BACKBONES else None
        return {"imagenet": "imagenet", "none": None}.get(self.weights, Path(self.weights))

    def require_fitting(self, name: str) -> None:
        """Refuses a width or weights that a backbone does not come with, before it is built.

        Args:
            name: Of the backbone.
        """
        backbone = BACKBONES.get(name)
        require(
            self.width == 1 or (backbone is not None and backbone.widths != ()),
            "Expected --width only with MobileNet, MobileNetV2 or MobileNetV3",
            model=name,
            width=self.width,
        )
        if self.weights_of(name) != "imagenet":
            return
        require(
            backbone is not None,
            f"Expected --weights none, or a file, with --model {name}: there are no ImageNet weights of it",
            weights=self.weights,
        )
        require(
            not backbone.widths or self.width in backbone.widths,
            f"Expected --width {', '.join(f'{width:g}' for width in backbone.widths)} with the ImageNet weights of "
            f"{name}",
            width=self.width,
            do="Other widths take --weights none, or a file.",
        )
