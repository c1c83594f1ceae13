"""Work on a batch whose images each have parameters of their own, or of which only some are changed."""

from collections.abc import Callable

import tensorflow as tf


def per_image(values: tf.Tensor) -> tf.Tensor:
    """`[B]` as `[B, 1, 1, 1]`, to stand beside images."""
    return values[:, tf.newaxis, tf.newaxis, tf.newaxis]


def where(chosen: tf.Tensor, changed: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    """The changed images where `chosen` (bool `[B]`), the others as they were."""
    return tf.where(per_image(chosen), changed, images)


def change_chosen(
    images: tf.Tensor, chosen: tf.Tensor, change: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], parts: int
) -> tf.Tensor:
    """Changes some images of a batch at the cost of about as many: for what is too dear to be done to all.

    They are changed a part of the batch at a time, in as many rounds as it takes, which XLA compiles. The loop also
    keeps XLA from computing all that came before anew for every pixel that `change` reads: two warps one after the
    other, 7 ms a batch each, were seen to take 102 ms together.

    Args:
        images: `[B, H, W, C]`.
        chosen: bool `[B]`.
        change: (all images, int32 `[n]`: which are asked for) -> these images, changed, `[n, H, W, C]`.
        parts: How many rounds the whole batch would take.

    Returns:
        `[B, H, W, C]`.
    """
    batch = images.shape[0] or tf.shape(images)[0]
    count = -(-batch // parts)
    order = tf.argsort(tf.cast(chosen, tf.int32), direction="DESCENDING", stable=True)
    rounds = -(-tf.reduce_sum(tf.cast(chosen, tf.int32)) // count)

    def body(at: tf.Tensor, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # The last round of an uneven batch reaches back into the one before, and leaves alone what that has changed.
        start = tf.minimum(at * count, batch - count)
        here = tf.slice(order, [start], [count])
        due = tf.gather(chosen, here) & (start + tf.range(count) >= at * count)
        changed = where(due, change(images, here), tf.gather(images, here))
        return at + 1, tf.tensor_scatter_nd_update(images, here[:, tf.newaxis], changed)

    return tf.while_loop(lambda at, _: at < rounds, body, (0, images), parallel_iterations=1)[1]
