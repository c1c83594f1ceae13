"""Erasing: a rectangle of whole pixels is painted over, in each image its own."""

import math

import tensorflow as tf

from pipelines.augment.batches import per_image
from pipelines.augment.draws import Draws
from pipelines.augment.erasing_steps import Cutout, RandomErasing

Parameters = dict[str, tf.Tensor]


def draw_rectangle(step: RandomErasing, draws: Draws) -> Parameters:
    """chosen: bool `[B]`. area (share of the image), aspect (height / width), x, y (0 to 1): float32 `[B]`."""
    chance, area, x, y, aspect = draws.between((0, 1), step.area, (0, 1), (0, 1), _logarithms(step.aspect))
    return {"chosen": chance < step.probability, "area": area, "aspect": tf.exp(aspect), "x": x, "y": y}


def erase_rectangle(step: RandomErasing, images: tf.Tensor, parameters: Parameters) -> tf.Tensor:
    """Images `[B, H, W, C]` of any dtype, `fill_value` within the rectangles, of a pixel at least."""
    height, width = images.shape[1:3]
    area, aspect = parameters["area"] * height * width, parameters["aspect"]
    box_height = tf.clip_by_value(tf.round(tf.sqrt(area * aspect)), 1, height)
    box_width = tf.clip_by_value(tf.round(tf.sqrt(area / aspect)), 1, width)
    top = tf.minimum(tf.floor(parameters["y"] * (height - box_height + 1)), height - box_height)
    left = tf.minimum(tf.floor(parameters["x"] * (width - box_width + 1)), width - box_width)
    box_height = tf.where(parameters["chosen"], box_height, 0.0)
    inside = rectangle(height, width, top, left, box_height, box_width)
    return tf.where(inside, tf.cast(step.fill_value, images.dtype), images)


def draw_square(step: Cutout, draws: Draws) -> Parameters:
    """chosen: bool `[B]`. x, y: the centre, float32 `[B]`, 0 to 1."""
    chance, x, y = draws.between((0, 1), (0, 1), (0, 1))
    return {"chosen": chance < step.probability, "x": x, "y": y}


def erase_square(step: Cutout, images: tf.Tensor, parameters: Parameters) -> tf.Tensor:
    """Images `[B, H, W, C]` of any dtype, `fill_value` within the squares, cut off at the edges."""
    height, width = images.shape[1:3]
    side = tf.fill(tf.shape(parameters["x"]), float(round(step.size * min(height, width))))
    side = tf.where(parameters["chosen"], side, 0.0)
    top = tf.floor(parameters["y"] * height) - tf.floor(side / 2)
    left = tf.floor(parameters["x"] * width) - tf.floor(side / 2)
    inside = rectangle(height, width, top, left, side, side)
    return tf.where(inside, tf.cast(step.fill_value, images.dtype), images)


def rectangle(
    height: int, width: int, top: tf.Tensor, left: tf.Tensor, box_height: tf.Tensor, box_width: tf.Tensor
) -> tf.Tensor:
    """bool `[B, height, width, 1]`: true inside a rectangle given in whole pixels, float32 `[B]` each."""
    rows = tf.range(height, dtype=tf.float32)[tf.newaxis, :, tf.newaxis, tf.newaxis]
    columns = tf.range(width, dtype=tf.float32)[tf.newaxis, tf.newaxis, :, tf.newaxis]
    top, left, box_height, box_width = map(per_image, (top, left, box_height, box_width))
    return (rows >= top) & (rows < top + box_height) & (columns >= left) & (columns < left + box_width)


def _logarithms(aspect: tuple[float, float]) -> tuple[float, float]:
    return math.log(aspect[0]), math.log(aspect[1])
