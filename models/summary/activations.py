"""Pictures of what a model sees in an image: feature maps at the end of each block, and the first layer's filters."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from base import files
from models.summary.calls import Call, kind_of, watched
from models.training.keras_internals import in_mode

_MOST_BLOCKS = 24  # by their names; of more of them only the last of each size is shown
_MOST_MAPS = 64  # in a picture, the first ones
_INCHES = 1.0  # a map's width
# A block's own name, in `block_1_conv`, `conv2_block3_out`, `backbone/block5a_expand_activation`, `mixed7`.
_BLOCK = re.compile(r".*?(?:block|mixed)_?\d+[a-z]?(?=_|$)")
# At other sizes, or before anything is learnt.
_NOT_SHOWN = {"Cropping2D", "Normalization", "Rescaling", "ZeroPadding2D"}


def ends_of_blocks(calls: Sequence[Call]) -> list[str]:
    """Names of the calls that end a block: of those that give feature maps and share a block's name the last.

    Where names tell of fewer than two blocks, or of very many, the last call at each size of the maps.
    """
    maps = [call for call in calls if len(call.output.shape) == 3 and min(call.output.shape[:2]) > 1]
    maps = [call for call in maps if call.kind not in _NOT_SHOWN]
    named = {match[0]: call.name for call in maps if (match := _BLOCK.match(call.name))}
    if 2 <= len(named) <= _MOST_BLOCKS:
        return list(named.values())
    return list({call.output.shape[:2]: call.name for call in maps}.values())


def feature_maps(model: keras.Model, image: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    """What the calls of these names give for an image.

    Args:
        model: Built.
        image: Pixels `[H, W, C]`, 0-255.
        names: Of calls, as `calls_of` names them.

    Returns:
        Name -> float32 `[h, w, maps]`; of a layer that is called several times what it gave last.
    """
    seen: dict[str, np.ndarray] = {}

    def see(name: str, _: keras.Operation, __: Sequence[tf.Tensor], outputs: Sequence[tf.Tensor]) -> None:
        if name in names:
            seen[name] = tf.cast(outputs[0][0], tf.float32).numpy()

    with watched(model, see):
        model(tf.constant(image, tf.float32)[None], **in_mode(model, training=False))
    return seen


def first_filters(calls: Sequence[Call]) -> tuple[str, np.ndarray] | None:
    """Name and kernel, float32 `[h, w, channels, filters]`, of the first convolution; None without one."""
    call = next((call for call in calls if kind_of(call.operation) == "Conv2D"), None)
    return None if call is None else (call.name, np.array(call.operation.kernel, np.float32))


def draw_maps(path: Path, maps: np.ndarray, title: str) -> None:
    """Writes feature maps `[h, w, maps]` as a grid, each in its own range from dark to light, to a .png file."""
    pictures = [maps[:, :, place] for place in range(min(maps.shape[2], _MOST_MAPS))]
    _draw(path, pictures, f"{title}{_of(maps.shape[2])}", "viridis")


def draw_filters(path: Path, kernel: np.ndarray, title: str) -> None:
    """Writes filters `[h, w, channels, filters]` as a grid to a .png file.

    Those of three channels in their colours, others by their mean over channels; grey is 0, in one range for all.
    """
    height, width, channels, filters = kernel.shape
    kernel = kernel if channels == 3 else kernel.mean(axis=2, keepdims=True)
    shades = 0.5 + kernel / (2 * max(np.abs(kernel).max(), 1e-12))
    pictures = [shades[..., place].squeeze() for place in range(min(filters, _MOST_MAPS))]
    pictures = [picture.reshape(height, width, *picture.shape[2:]) for picture in pictures]
    _draw(path, pictures, f"{title}{_of(filters)}", "gray", (0, 1))


def _of(count: int) -> str:
    return f", {_MOST_MAPS} of {count}" if count > _MOST_MAPS else ""


def _draw(
    path: Path, pictures: Sequence[np.ndarray], title: str, colours: str, limits: tuple[float, float] = (None, None)
) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = math.ceil(math.sqrt(len(pictures)))
    rows = -(-len(pictures) // columns)
    height, width = pictures[0].shape[:2]
    figure = Figure((max(columns * _INCHES, 4), rows * _INCHES * height / width + 0.5), layout="constrained", dpi=100)
    figure.suptitle(title, fontsize=9, wrap=True)
    for axis, picture in zip(figure.subplots(rows, columns, squeeze=False).flat, pictures, strict=False):
        axis.imshow(picture, cmap=colours, vmin=limits[0], vmax=limits[1], interpolation="nearest")
    for axis in figure.axes:
        axis.set_axis_off()
    with files.whole_file(path, suffix=".png") as temporary:
        FigureCanvasAgg(figure).print_png(temporary, metadata={"Software": None})
