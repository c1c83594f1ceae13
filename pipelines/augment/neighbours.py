"""What looks at a pixel's neighbours: sharpness and blur. On float32 `[B, H, W, C]`, 0-255."""

import math

import numpy as np
import tensorflow as tf


def sharpened(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blends with the smoothed image: smooth at factor `[B]` 0, unchanged at 1, sharpened above.

    Smoothed by Pillow's kernel (5 in the middle, 1 about it, over 13); the outermost pixels stay.
    """
    height, width, channels = images.shape[1:]
    if min(height, width) < 3:
        return images
    # Channels side by side in one long row: the CPU's vector units can do that, and not an axis of three values.
    rows = tf.reshape(images, [-1, height, width * channels])
    columns = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    box = columns[..., : -2 * channels] + columns[..., channels:-channels] + columns[..., 2 * channels :]
    inner = rows[:, 1:-1, channels:-channels]
    smooth = (box + 4 * inner) / 13
    sharp = tf.clip_by_value(smooth + (inner - smooth) * factor[:, tf.newaxis, tf.newaxis], 0.0, 255.0)
    sharp = tf.concat([rows[:, 1:-1, :channels], sharp, rows[:, 1:-1, -channels:]], axis=2)
    sharp = tf.concat([rows[:, :1], sharp, rows[:, -1:]], axis=1)
    return tf.reshape(sharp, tf.shape(images))


def blurred(images: tf.Tensor, sigma: tf.Tensor, largest: float) -> tf.Tensor:
    """Blurs by a Gaussian of standard deviation `sigma` (`[B]`, pixels), cut off at 3 times `largest`.

    Beyond the edge lies the image mirrored, without its edge pixel. What is below 0.01 pixels changes nothing.
    """
    radius = min(math.ceil(3 * largest), *(size - 1 for size in images.shape[1:3]))
    distance = np.arange(-radius, radius + 1, dtype=np.float32)
    weights = tf.exp(-0.5 * (distance / tf.maximum(sigma, 0.01)[:, tf.newaxis]) ** 2)
    weights /= tf.reduce_sum(weights, axis=1, keepdims=True)
    taps = [weights[:, tap, tf.newaxis, tf.newaxis] for tap in range(2 * radius + 1)]
    height, width, channels = images.shape[1:]
    rows = tf.pad(images, [[0, 0], [radius, radius], [0, 0], [0, 0]], "REFLECT")
    rows = tf.reshape(rows, [-1, height + 2 * radius, width * channels])
    rows = sum(rows[:, at : at + height] * tap for at, tap in enumerate(taps))
    columns = tf.reshape(rows, [-1, height, width, channels])
    columns = tf.pad(columns, [[0, 0], [0, 0], [radius, radius], [0, 0]], "REFLECT")
    columns = tf.reshape(columns, [-1, height, (width + 2 * radius) * channels])
    starts = [at * channels for at in range(2 * radius + 1)]
    blurred = sum(columns[..., at : at + width * channels] * tap for at, tap in zip(starts, taps, strict=True))
    return tf.reshape(blurred, [-1, height, width, channels])
