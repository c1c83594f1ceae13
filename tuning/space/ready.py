"""Ready-made spaces, by name: `cnn`, `cnn_grid` and `transfer`."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from base.errors import input_error, nearest, require
from tuning.space.parameters import Boolean, Choice, Condition, Float, Parameter, Space
from tuning.space.space import space_of

NAMES = ("cnn", "cnn_grid", "transfer")

MOST_BLOCKS = 5
# Larger maps than this at the last block make the flattened vector, and with it the dense layers, needlessly large.
LARGEST_LAST_MAP = 16
KERNEL_SIZES = (3, 5)
# Of keras.applications, from 14 to 98 MB of weights (keras.io/api/applications), for images of 32x32 on.
BACKBONES = ("MobileNetV2", "EfficientNetV2B0", "DenseNet121", "ResNet50V2")
LEAST_BACKBONE_IMAGE = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadySpace:
    """A space, and the options that go with it where nobody says otherwise."""

    space: Space
    fixed: dict[str, Any]


def ready_space(name: str, image_size: int, options: Mapping[str, Any], *, augments: bool) -> ReadySpace:
    """A ready-made space, fitted to the images.

    Args:
        name: One of `NAMES`.
        image_size: Height and width of what the model sees, in pixels.
        options: Every option of training: those that the space leaves alone bound those that it searches.
        augments: Whether the options augment the images already: then a space searches how much.

    Raises:
        InputError: An unknown name, or images too small for the space.
    """
    if name == "cnn":
        return _cnn(image_size, options, augments)
    if name == "cnn_grid":
        return _cnn_grid()
    if name == "transfer":
        return _transfer(image_size, options)
    raise input_error(f"Expected a space that is called {', '.join(NAMES)}", space=name, do=nearest(name, NAMES))


def _cnn(image_size: int, options: Mapping[str, Any], augments: bool) -> ReadySpace:
    some_dense = Condition(name="dense_layers", values=(1, 2))
    adaptive = Condition(name="optimizer", values=("adam", "adamw"))
    sizes = {"blocks": _block_counts(image_size, options), "batch_size": _batch_sizes(options["replicas"] or 1)}
    parameters = [
        *_if_several("blocks", sizes["blocks"]),
        Choice(name="filters", values=(16, 32, 64)),
        Choice(name="kernel_size", values=KERNEL_SIZES, label="kernel"),
        Choice(name="dense_layers", values=(0, 1, 2), label="dense"),
        Choice(name="dense_units", values=(64, 128, 256), when=some_dense, label="units"),
        Choice(name="optimizer", values=("adam", "adamw", "sgd")),
        Float(name="learning_rate", low=1e-4, high=1e-2, log=True, when=adaptive),
        Float(name="learning_rate", low=3e-3, high=3e-1, log=True, when=Condition(name="optimizer", values=("sgd",))),
        Float(name="weight_decay", low=1e-5, high=1e-1, log=True, when=Condition(name="optimizer", values=("adamw",))),
        Choice(name="activation", values=("relu", "elu", "silu")),
        Choice(name="pooling", values=("max", "average")),
        Choice(name="flatten", values=("flatten", "average")),
        Boolean(name="batch_norm"),
        Choice(name="dropout", values=(0.0, 0.1, 0.2, 0.3)),
        Choice(name="dense_dropout", values=(0.0, 0.25, 0.5)),
        *_if_several("batch_size", sizes["batch_size"]),
        *_augmentation(augments),
    ]
    fixed = {name: values[0] for name, values in sizes.items() if len(values) == 1}
    return ReadySpace(space=space_of(parameters), fixed=fixed)


def _cnn_grid() -> ReadySpace:
    """27 combinations: how many convolutions, how wide, how many dense layers of the same width."""
    space = space_of(
        [
            Choice(name="blocks", values=(1, 2, 3), label="conv"),
            Choice(name="filters", values=(32, 64, 128), also=("dense_units",)),
            Choice(name="dense_layers", values=(0, 1, 2), label="dense"),
        ]
    )
    return ReadySpace(space=space, fixed={"convolutions": 1, "filter_growth": 1.0})


def _transfer(image_size: int, options: Mapping[str, Any]) -> ReadySpace:
    require(
        image_size >= LEAST_BACKBONE_IMAGE or options["model"] != "cnn",
        f"Expected --image-size of at least {LEAST_BACKBONE_IMAGE} for the space transfer",
        image_size=image_size,
    )
    tuned = Condition(name="unfreeze", values=(["0.1"], ["0.3"], ["all"]))
    space = space_of(
        [
            Choice(name="model", values=BACKBONES),
            Choice(name="unfreeze", values=(["none"], *tuned.values)),
            Choice(name="head_pool", values=("avg", "max")),
            Choice(name="head_units", values=([], [256])),
            Choice(name="head_dropout", values=(0.0, 0.25, 0.5)),
            Float(name="learning_rate", low=1e-4, high=1e-2, log=True),
            Float(name="finetune_rate", low=0.01, high=1.0, log=True, when=tuned),
            Float(name="first_layer_rate", low=0.01, high=1.0, log=True, when=tuned),
        ]
    )
    return ReadySpace(space=space, fixed={})


def _if_several(name: str, values: tuple[int, ...]) -> list[Parameter]:
    return [Choice(name=name, values=values)] if len(values) > 1 else []


def _augmentation(augments: bool) -> list[Parameter]:
    """How strong what is asked for is; where nothing is asked for, whether and how strong the light policy is."""
    if augments:
        return [Choice(name="augment_strength", values=(0.0, 0.5, 1.0), label="strength")]
    light = Condition(name="augment", values=("light",))
    return [
        Choice(name="augment", values=("none", "light")),
        Choice(name="augment_strength", values=(0.5, 1.0, 1.5), when=light, label="strength"),
    ]


def _batch_sizes(replicas: int) -> tuple[int, ...]:
    """32, 64 and 128, each rounded up to what the replicas can share."""
    return tuple(sorted({-(-size // replicas) * replicas for size in (32, 64, 128)}))


def _block_counts(image_size: int, options: Mapping[str, Any]) -> tuple[int, ...]:
    """How many blocks make sense: as deep as the feature maps last, not so shallow that the last ones are large."""
    maps = _map_sizes(image_size, options)
    deepest = len(maps)
    if not maps or maps[-1] == image_size:  # nothing makes the maps smaller
        shallowest = min(1, deepest)
    else:
        shallowest = min(1 + sum(size > LARGEST_LAST_MAP for size in maps), deepest)
    return tuple(range(shallowest, deepest + 1))


def _map_sizes(image_size: int, options: Mapping[str, Any]) -> list[int]:
    """Height and width after each block, until a map is too small or `MOST_BLOCKS` are there."""
    kernel = max(*KERNEL_SIZES, options["kernel_size"])
    sizes: list[int] = []
    size = image_size
    while len(sizes) < MOST_BLOCKS:
        for convolution in range(options["convolutions"]):
            stride = options["stride"] if convolution == 0 else 1
            size = -(-size // stride) if options["padding"] == "same" else (size - kernel) // stride + 1
        if options["pooling"] != "none":
            size //= options["pool_size"]
        if size < 1:
            break
        sizes.append(size)
    return sizes
