"""Residual networks for small images: ResNet-20 to ResNet-110, and the wide ones.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition (2015), section 4.2, https://arxiv.org/abs/1512.03385.
Zagoruyko, Komodakis: Wide Residual Networks (2016), https://arxiv.org/abs/1605.07146.

Both are three stages of blocks with two 3x3 convolutions, the first block of the second and the third stage with stride
2. Their first convolution has stride 1, and there is no pooling: feature maps of 32x32 images are 8x8 at the end.
"""

import keras

from models.backbones.table import CifarResNet

_FILTERS = (16, 32, 64)
_MOMENTUM = 0.9  # of batch normalisation, as in the CNN: moving averages that follow within a short epoch
MINIMUM = 8  # height and width of images that leave 2x2 feature maps


def cifar_features(x: keras.KerasTensor, which: CifarResNet) -> keras.KerasTensor:
    """The feature maps of a residual network.

    Args:
        x: Standardised images `[B, H, W, C]`.
        which: The network.

    Returns:
        `[B, ceil(H / 4), ceil(W / 4), F]`, F = 64, or 64 times the width of a wide one.
    """
    x = _convolution(x, _FILTERS[0], 1, "conv_1")
    if which.width is None:
        x = _activated(x, "conv_1")
    block = _block if which.width is None else _wide_block
    for stage, filters in enumerate(_FILTERS, start=1):
        for place in range(1, which.blocks + 1):
            stride = 2 if stage > 1 and place == 1 else 1
            x = block(x, filters * (which.width or 1), stride, f"stage_{stage}_block_{place}")
    return x if which.width is None else _activated(x, "last")


def _block(x: keras.KerasTensor, filters: int, stride: int, name: str) -> keras.KerasTensor:
    """Convolution, normalisation, activation, twice; the sum before the last activation. Where the shape changes, the
    shortcut takes every second pixel, and zeros for the new channels: "option A", without parameters."""
    y = _activated(_convolution(x, filters, stride, f"{name}_conv_1"), f"{name}_conv_1")
    y = _normalised(_convolution(y, filters, 1, f"{name}_conv_2"), f"{name}_conv_2")
    if stride > 1:
        x = keras.layers.MaxPooling2D(1, strides=stride, padding="same", name=f"{name}_shortcut")(x)
    if (more := filters - x.shape[-1]) > 0:
        x = keras.ops.pad(x, [[0, 0], [0, 0], [0, 0], [more // 2, more - more // 2]])
    return keras.layers.Activation("relu", name=f"{name}_relu")(keras.layers.Add(name=f"{name}_sum")([x, y]))


def _wide_block(x: keras.KerasTensor, filters: int, stride: int, name: str) -> keras.KerasTensor:
    """Normalisation and activation before each convolution; a 1x1 convolution as shortcut where the shape changes."""
    y = _activated(x, f"{name}_1")
    if stride > 1 or x.shape[-1] != filters:
        x = _convolution(y, filters, stride, f"{name}_shortcut", size=1)
    y = _activated(_convolution(y, filters, stride, f"{name}_conv_1"), f"{name}_2")
    y = _convolution(y, filters, 1, f"{name}_conv_2")
    return keras.layers.Add(name=f"{name}_sum")([x, y])


def _convolution(x: keras.KerasTensor, filters: int, stride: int, name: str, size: int = 3) -> keras.KerasTensor:
    if stride > 1 and size > 1:
        # "same" would centre the windows on the pixels that the shortcut leaves out.
        x = keras.layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    return keras.layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding="valid" if stride > 1 else "same",
        use_bias=False,  # normalisation takes it away
        kernel_initializer="he_normal",
        name=name,
    )(x)


def _normalised(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return keras.layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_norm")(x)


def _activated(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return keras.layers.Activation("relu", name=f"{name}_relu")(_normalised(x, name))
