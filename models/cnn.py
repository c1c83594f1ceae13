"""The CNN: standardisation; blocks of convolution, normalisation, activation, pooling, dropout; dense layers; the head.

Only layers and operations of Keras itself, so that a saved model loads where Millrace is not installed.
"""

import keras

from base.errors import require
from models.cnn_options import CNNOptions
from models.heads import Head
from models.standardise import DEFAULT, Standardisation, standardised


def build_cnn(
    options: CNNOptions, input_shape: tuple[int, int, int], head: Head, standardisation: Standardisation = DEFAULT
) -> keras.Model:
    """Builds the CNN under the current dtype policy and distribution strategy.

    Args:
        options: Its hyperparameters.
        input_shape: (height, width, channels).
        head: The last layer.
        standardisation: The first layers.

    Returns:
        A model from pixels `[B, H, W, C]`, 0-255, to outputs `[B, units]`, at least float32.

    Raises:
        InputError: The feature maps become smaller than a kernel or pooling window.
    """
    image = keras.Input(input_shape, name="image")
    x = standardised(image, standardisation)
    for block in range(1, options.blocks + 1):
        x = _block(x, options, block)
    x = _vector(x, options)
    for layer in range(1, options.dense_layers + 1):
        x = keras.layers.Dense(options.dense_units, name=f"dense_{layer}", **_weights(options))(x)
        x = _activated(x, options, f"dense_{layer}")
        x = _dropped(x, options.dense_dropout, f"dense_{layer}_dropout")
    if options.dense_layers == 0:
        x = _dropped(x, options.dense_dropout, "head_dropout")
    x = keras.layers.Dense(head.units, kernel_regularizer=_penalty(options), bias_initializer="zeros", name="head")(x)
    # Softmax and loss in float32 at least, whatever the layers before compute in.
    dtype = "float64" if keras.config.dtype_policy().compute_dtype == "float64" else "float32"
    return keras.Model(image, keras.layers.Activation(head.activation, dtype=dtype, name="scores")(x), name="cnn")


def _block(x: keras.KerasTensor, options: CNNOptions, block: int) -> keras.KerasTensor:
    filters = max(1, round(options.filters * options.filter_growth ** (block - 1)))
    for convolution in range(1, options.convolutions + 1):
        name = f"block_{block}_conv" + (f"_{convolution}" if options.convolutions > 1 else "")
        if options.padding == "valid":
            _require_room(x, options.kernel_size, "kernel_size", block)
        x = keras.layers.Conv2D(
            filters,
            options.kernel_size,
            strides=options.stride if convolution == 1 else 1,
            padding=options.padding,
            name=name,
            **_weights(options),
        )(x)
        x = _activated(x, options, name)
    x = _pooled(x, options, block)
    x = _dropped(x, options.dropout, f"block_{block}_dropout")
    return _dropped(x, options.spatial_dropout, f"block_{block}_spatial_dropout", keras.layers.SpatialDropout2D)


def _weights(options: CNNOptions) -> dict:
    return {
        "kernel_initializer": options.kernel_initializer,
        "kernel_regularizer": _penalty(options),
        # Normalisation takes the mean away, and any bias with it: the bias would only gather rounding noise.
        "use_bias": not options.batch_norm,
    }


def _penalty(options: CNNOptions) -> keras.Regularizer | None:
    return keras.regularizers.L1L2(options.l1, options.l2) if options.l1 or options.l2 else None


def _activated(x: keras.KerasTensor, options: CNNOptions, name: str) -> keras.KerasTensor:
    if options.batch_norm:
        x = keras.layers.BatchNormalization(momentum=options.batch_norm_momentum, name=f"{name}_norm")(x)
    return keras.layers.Activation(options.activation, name=f"{name}_{options.activation}")(x)


def _pooled(x: keras.KerasTensor, options: CNNOptions, block: int) -> keras.KerasTensor:
    if options.pooling == "none":
        return x
    _require_room(x, options.pool_size, "pool_size", block)
    name = f"block_{block}_pool"
    if options.pooling == "max":
        return keras.layers.MaxPooling2D(options.pool_size, name=name)(x)
    if options.pooling == "average":
        return keras.layers.AveragePooling2D(options.pool_size, name=name)(x)
    return _l2_pooled(x, options.pool_size, name)


def _l2_pooled(x: keras.KerasTensor, size: int, name: str) -> keras.KerasTensor:
    """The Euclidean norm of each window (Sermanet, Chintala, LeCun 2012, with p = 2), in float32: squares overflow
    float16 early."""
    dtype = "float64" if x.dtype == "float64" else "float32"
    squares = keras.layers.Multiply(dtype=dtype, name=f"{name}_squares")([x, x])
    means = keras.layers.AveragePooling2D(size, dtype=dtype, name=name)(squares)
    # The root's slope is infinite at 0, where whole windows are after a ReLU.
    return keras.ops.sqrt(means * (size * size) + 1e-6)


def _dropped(x: keras.KerasTensor, rate: float, name: str, layer: type = keras.layers.Dropout) -> keras.KerasTensor:
    return layer(rate, name=name)(x) if rate else x


def _vector(x: keras.KerasTensor, options: CNNOptions) -> keras.KerasTensor:
    layers = {
        "flatten": keras.layers.Flatten,
        "average": keras.layers.GlobalAveragePooling2D,
        "max": keras.layers.GlobalMaxPooling2D,
    }
    return layers[options.flatten](name=options.flatten)(x)


def _require_room(x: keras.KerasTensor, window: int, name: str, block: int) -> None:
    height, width = x.shape[1:3]
    require(
        min(height, width) >= window,
        f"Expected feature maps of at least {window}x{window} (--{name.replace('_', '-')}) in block {block}",
        feature_maps=f"{height}x{width}",
        do="Use fewer --blocks, a smaller --pool-size or --stride, or a larger --image-size.",
    )
