"""The backbones by name: what a user can give as `--model`, and what each of them takes. Free of TensorFlow."""

import dataclasses
import re
from typing import Literal

from base.errors import nearest, require

Preprocessing = Literal["caffe", "tf", "torch", "inside"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Backbone:
    """One architecture of `keras.applications`.

    Attributes:
        name: Of the function in `keras.applications`.
        family: Of the module there that has its `preprocess_input`.
        preprocessing: What stands in front of it. "caffe": BGR, ImageNet's mean subtracted; "tf": -1 to 1; "torch": 0
            to 1, then by ImageNet's mean and standard deviation; "inside": the architecture takes pixels itself.
        minimum: Least height and width.
        size: Height and width that its ImageNet weights were trained at.
        widths: Width multipliers with ImageNet weights; () where it has no such argument.
    """

    name: str
    family: str
    preprocessing: Preprocessing
    size: int = 224
    minimum: int = 32
    widths: tuple[float, ...] = ()


def _members(family: str, preprocessing: Preprocessing, sizes: dict[str, int], **common: object) -> list[Backbone]:
    return [
        Backbone(name=name, family=family, preprocessing=preprocessing, size=size, **common)
        for name, size in sizes.items()
    ]


_ALL = [
    *_members("vgg16", "caffe", {"VGG16": 224}),
    *_members("vgg19", "caffe", {"VGG19": 224}),
    *_members("resnet", "caffe", {"ResNet50": 224, "ResNet101": 224, "ResNet152": 224}),
    *_members("resnet_v2", "tf", {"ResNet50V2": 224, "ResNet101V2": 224, "ResNet152V2": 224}),
    *_members("inception_v3", "tf", {"InceptionV3": 299}, minimum=75),
    *_members("inception_resnet_v2", "tf", {"InceptionResNetV2": 299}, minimum=75),
    *_members("xception", "tf", {"Xception": 299}, minimum=71),
    *_members("densenet", "torch", {"DenseNet121": 224, "DenseNet169": 224, "DenseNet201": 224}),
    *_members("mobilenet", "tf", {"MobileNet": 224}, widths=(0.25, 0.5, 0.75, 1.0)),
    *_members("mobilenet_v2", "tf", {"MobileNetV2": 224}, widths=(0.35, 0.5, 0.75, 1.0, 1.3, 1.4)),
    *_members("mobilenet_v3", "inside", {"MobileNetV3Small": 224, "MobileNetV3Large": 224}, widths=(0.75, 1.0)),
    *_members("nasnet", "tf", {"NASNetMobile": 224, "NASNetLarge": 331}),
    *_members(
        "efficientnet",
        "inside",
        {f"EfficientNetB{i}": size for i, size in enumerate((224, 240, 260, 300, 380, 456, 528, 600))},
    ),
    *_members(
        "efficientnet_v2",
        "inside",
        {
            "EfficientNetV2B0": 224,
            "EfficientNetV2B1": 240,
            "EfficientNetV2B2": 260,
            "EfficientNetV2B3": 300,
            "EfficientNetV2S": 384,
            "EfficientNetV2M": 480,
            "EfficientNetV2L": 480,
        },
    ),
    *_members("convnext", "inside", {f"ConvNeXt{size}": 224 for size in ("Tiny", "Small", "Base", "Large", "XLarge")}),
]
BACKBONES = {backbone.name: backbone for backbone in _ALL}

# Those of models/backbones/resnet_cifar.py that their papers have; others of the same form can be named, too.
CIFAR_NAMES = ("resnet-20", "resnet-32", "resnet-44", "resnet-56", "resnet-110", "wrn-16-8", "wrn-28-10", "wrn-40-4")


@dataclasses.dataclass(frozen=True)
class CifarResNet:
    """A residual network for small images.

    Attributes:
        depth: Layers with weights, as the paper counts them.
        width: The factor k on the filters of a wide one; None: not a wide one.
    """

    depth: int
    width: int | None = None

    @property
    def blocks(self) -> int:
        """In each of the three stages."""
        return (self.depth - (2 if self.width is None else 4)) // 6


def cifar_resnet(name: str) -> CifarResNet | None:
    """What "resnet-20" or "wrn-16-8" stands for; None where the name has not that form.

    Raises:
        InputError: A depth that does not come out as three stages of equally many blocks.
    """
    match = re.fullmatch(r"resnet-(\d+)|wrn-(\d+)-(\d+)", name)
    if match is None:
        return None
    if match[1]:
        depth, width, rest, formula = int(match[1]), None, 2, "6n + 2 with resnet-DEPTH"
    else:
        depth, width, rest, formula = int(match[2]), int(match[3]), 4, "6n + 4 with wrn-DEPTH-WIDTH"
    require(depth > rest and depth % 6 == rest, f"Expected a depth of {formula}", model=name)
    require(width != 0, "Expected a width of at least 1 with wrn-DEPTH-WIDTH", model=name)
    return CifarResNet(depth, width)


def is_backbone(name: str) -> bool:
    """Whether a model of this name is built by `models.backbones.build`.

    Raises:
        InputError: As `cifar_resnet`.
    """
    return name in BACKBONES or cifar_resnet(name) is not None


def likeliest_backbone(name: str, others: tuple[str, ...] = ()) -> str:
    """The sentence of `nearest` for a name that is none, whatever its case.

    Args:
        name: What was received.
        others: Names of models that are no backbones.
    """
    known = [*BACKBONES, *CIFAR_NAMES, *others]
    same = [one for one in known if re.sub(r"\W|_", "", one.lower()) == re.sub(r"\W|_", "", name.lower())]
    return nearest(same[0] if same else name, known)
