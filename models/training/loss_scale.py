"""Dynamic loss scaling for mixed_float16 (Micikevicius et al. 2018): as a state that the pure step carries."""

import keras
import tensorflow as tf


class LossScale:
    """The factor on the loss, halved when gradients overflow, doubled after `grow_after` steps without.

    Make it under the strategy's scope: its variables live beside the model's.
    """

    def __init__(self, initial: float = 2.0**15, grow_after: int = 2000) -> None:
        self.grow_after = grow_after
        self.scale = keras.Variable(initial, dtype="float32", trainable=False, name="loss_scale")
        self.good_steps = keras.Variable(0, dtype="int32", trainable=False, name="good_steps")

    @property
    def variables(self) -> list[keras.Variable]:
        """The scale, then the number of finite steps since it last changed."""
        return [self.scale, self.good_steps]

    def after(self, values: list[tf.Tensor], finite: tf.Tensor) -> list[tf.Tensor]:
        """The variables' values after a step whose all-reduced gradients were finite, or not."""
        scale, good_steps = values
        grows = good_steps + 1 >= self.grow_after
        finite_scale = tf.where(grows, scale * 2, scale)
        finite_steps = tf.where(grows, 0, good_steps + 1)
        return [tf.where(finite, finite_scale, tf.maximum(scale / 2, 1.0)), tf.where(finite, finite_steps, 0)]
