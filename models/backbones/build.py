"""Models of a backbone and a head: preprocessing, an architecture of `keras.applications` or a residual network for
small images, and the head that is trained on top.

Only layers and operations of Keras itself, so that a saved model loads where Millrace is not installed. The layers
stand side by side in one functional model, and the first of the head is always named `head_pool`, so that `backbone_of`
and `head_of` find the border in a loaded model too.
"""

from collections.abc import Callable

import keras

from base.errors import require
from models.backbones.options import BackboneOptions
from models.backbones.preprocessing import float_type, preprocessed, set_input_statistics
from models.backbones.resnet_cifar import MINIMUM, cifar_features
from models.backbones.table import BACKBONES, Backbone, cifar_resnet, likeliest_backbone
from models.backbones.weights import imagenet_weights, load_weights
from models.heads import Head
from models.standardise import DEFAULT, Standardisation, standardised
from models.training.keras_internals import reset_names

_FIRST_OF_HEAD = "head_pool"


def build_backbone_model(
    name: str,
    options: BackboneOptions,
    input_shape: tuple[int, int, int],
    head: Head,
    standardisation: Standardisation = DEFAULT,
) -> keras.Model:
    """Builds a backbone with its weights, and a head with weights drawn at random, under the current dtype policy and
    distribution strategy.

    Args:
        name: A key of `BACKBONES`, "resnet-DEPTH", or "wrn-DEPTH-WIDTH".
        options: Weights, width and head.
        input_shape: (height, width, channels); 1 or 3 channels: grey ones are repeated for the architectures of
            `keras.applications`.
        head: The last layer.
        standardisation: The first layers of a residual network for small images. The architectures of
            `keras.applications` have their own preprocessing in front, and take no other.

    Returns:
        A model from pixels `[B, H, W, C]`, 0-255, to outputs `[B, units]`, at least float32.

    Raises:
        InputError: No such name, images too small for it, weights that are not there or not its own.

    Example:
        >>> head = Head("softmax", "cross_entropy", 2)
        >>> options = BackboneOptions(weights="none", width=0.35, head_units=(64,))
        >>> build_backbone_model("MobileNetV2", options, (96, 96, 3), head).output.shape
        (None, 2)
    """
    backbone = _backbone(name, options, input_shape, standardisation, top=False)
    return keras.Model(backbone.input, _scores(backbone.output, options, head), name=_plain(name))


def build_imagenet_model(
    name: str, options: BackboneOptions, input_shape: tuple[int, int, int] | None = None
) -> keras.Model:
    """Builds an architecture of `keras.applications` with its own top, for ImageNet's 1,000 classes.

    Args:
        name: A key of `BACKBONES`.
        options: Weights and width; a file must hold the top as well.
        input_shape: (height, width, channels); None: the size that its weights were trained at, with 3 channels.

    Returns:
        A model from pixels `[B, H, W, C]`, 0-255, to probabilities `[B, 1000]`.

    Raises:
        InputError: As `build_backbone_model`.
    """
    require(
        name in BACKBONES, "Expected an architecture of keras.applications", model=name, do=likeliest_backbone(name)
    )
    size = BACKBONES[name].size
    require(
        input_shape is None or not name.startswith("VGG") or input_shape[:2] == (size, size),
        f"Expected images of {size}x{size} with {name}: its top takes no others",
        input_shape=input_shape,
    )
    return _backbone(name, options, input_shape or (size, size, 3), DEFAULT, top=True)


def backbone_of(model: keras.Model, *, pooled: bool = True) -> keras.Model:
    """The part of a model in front of its head; it shares the layers.

    Args:
        model: Of `build_backbone_model`, or loaded from its file.
        pooled: Whether the vector that the head's dense layers take is wanted, or the feature maps before it.

    Returns:
        A model from pixels `[B, H, W, C]`, 0-255, to features `[B, F]`, or `[B, h, w, F]`.

    Raises:
        InputError: A model that was not built so.
    """
    pool = _pool_of(model)
    return keras.Model(model.input, pool.output if pooled else pool.input, name=f"{model.name}_backbone")


def head_of(model: keras.Model) -> keras.Model:
    """The other part: from features `[B, F]` to outputs `[B, units]`; it shares the layers.

    Raises:
        InputError: A model that was not built by `build_backbone_model`.
    """
    pool = _pool_of(model)
    features = x = keras.Input(pool.output.shape[1:], dtype=pool.output.dtype, name="features")
    for layer in model.layers[model.layers.index(pool) + 1 :]:
        x = layer(x)
    return keras.Model(features, x, name=f"{model.name}_head")


def backbone_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers in front of a model's head that have weights, from the input on.

    Raises:
        InputError: A model that was not built by `build_backbone_model`.
    """
    return [layer for layer in model.layers[: model.layers.index(_pool_of(model))] if layer.weights]


def _backbone(
    name: str, options: BackboneOptions, input_shape: tuple[int, int, int], how: Standardisation, *, top: bool
) -> keras.Model:
    options.require_fitting(name)
    known, small = BACKBONES.get(name), None if name in BACKBONES else cifar_resnet(name)
    require(known or small, "Expected a backbone's name", model=name, do="" if known else likeliest_backbone(name))
    _require_shape(name, input_shape, known.minimum if known else MINIMUM)
    require(
        known is None or how == DEFAULT,
        f"Expected no standardisation with --model {name}: it has its own preprocessing",
        standardisation=how.describe(),
    )
    reset_names()  # those that Keras counts up differ with what was built before, and users name layers
    image = keras.Input(input_shape, name="image")
    if small is not None:
        features = cifar_features(standardised(image, how), small)
    else:
        x = preprocessed(image, known.preprocessing)
        build = _architecture(known, options)
        features = build(weights=None, include_top=top, input_tensor=x, input_shape=x.shape[1:]).output
    model = keras.Model(image, features, name=_plain(name))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and options.backbone_norm_momentum:
            layer.momentum = options.backbone_norm_momentum
    set_input_statistics(model, loaded=False)
    _fill(model, name, options, input_shape, top=top)
    return model


def _architecture(backbone: Backbone, options: BackboneOptions) -> Callable[..., keras.Model]:
    build = getattr(keras.applications, backbone.name)
    width = {"alpha": options.width} if backbone.widths else {}
    return lambda **arguments: build(**width, **arguments)


def _fill(
    model: keras.Model, name: str, options: BackboneOptions, input_shape: tuple[int, int, int], *, top: bool
) -> None:
    """Gives a backbone the weights that are asked for."""
    source = options.weights_of(name)
    if source is None:
        return
    if source == "imagenet":
        build = _architecture(BACKBONES[name], options)
        shape = {} if top else {"input_shape": (*input_shape[:2], 3)}
        model.set_weights(imagenet_weights(name, lambda: build(weights="imagenet", include_top=top, **shape)))
    else:
        load_weights(model, source, name if options.width == 1 else f"{name} of width {options.width:g}")
    set_input_statistics(model, loaded=True)


def _scores(x: keras.KerasTensor, options: BackboneOptions, head: Head) -> keras.KerasTensor:
    pools = {
        "avg": keras.layers.GlobalAveragePooling2D,
        "max": keras.layers.GlobalMaxPooling2D,
        "flatten": keras.layers.Flatten,
    }
    x = pools[options.head_pool](name=_FIRST_OF_HEAD)(x)
    for place, units in enumerate(options.head_units, start=1):
        name = f"head_dense_{place}"
        x = keras.layers.Dense(units, kernel_initializer="he_normal", name=name)(x)
        x = keras.layers.Activation("relu", name=f"{name}_relu")(x)
        x = keras.layers.Dropout(options.head_dropout, name=f"{name}_dropout")(x) if options.head_dropout else x
    if options.head_dropout and not options.head_units:
        x = keras.layers.Dropout(options.head_dropout, name="head_dropout")(x)
    x = keras.layers.Dense(head.units, name="head")(x)
    return keras.layers.Activation(head.activation, dtype=float_type(), name="scores")(x)


def _pool_of(model: keras.Model) -> keras.layers.Layer:
    found = [layer for layer in model.layers if layer.name == _FIRST_OF_HEAD]
    require(found != [], "Expected a model of a backbone and a head, as train.py builds it", model=model.name)
    return found[0]


def _require_shape(name: str, shape: tuple[int, int, int], minimum: int) -> None:
    height, width, channels = shape
    require(
        min(height, width) >= minimum,
        f"Expected images of at least {minimum}x{minimum} with --model {name}",
        image_size=f"{height}x{width}",
        do="Give a larger --image-size.",
    )
    require(channels in (1, 3), f"Expected images of 1 or 3 channels with --model {name}", channels=channels)


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")
