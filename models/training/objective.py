"""What training minimises: the head's loss, with smoothing, focus and weights as the options want them."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from base.errors import require
from models.heads import Head
from models.training.loss_options import LossOptions


class Objective:
    """The loss of each training example.

    Evaluation has the head's plain loss: it is to be compared between runs.

    Args:
        head: Of the model.
        options: Smoothing, focus.
        class_weights: One a class; None: 1 each.
    """

    def __init__(self, head: Head, options: LossOptions, class_weights: Sequence[float] | None = None) -> None:
        self._plain = not (options.label_smoothing or options.focal_gamma)
        require(
            head.name != "linear" or self._plain,
            "Expected --head softmax or sigmoid with --label-smoothing or --focal-gamma",
            head=head.name,
        )
        self._head = head
        self._options = options
        self._class_weights = class_weights

    def losses(self, label: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """The loss of each example, class weights included.

        Args:
            label: int32 `[B]`, or float32 `[B, K]` where examples are mixed.
            outputs: Of the model.

        Returns:
            `[B]`, of the outputs' type.
        """
        soft = label.dtype.is_floating
        if self._plain:
            loss = self._head.keras_loss(soft=soft, reduction=None, dtype=outputs.dtype.name)
            values = loss(self._head.targets(label), outputs)
        else:
            shares = label if soft else tf.one_hot(label, self._head.classes)
            values = self._shaped_loss(outputs.dtype.name)(self._head.targets(shares), outputs)
        if self._class_weights is None:
            return values
        weights = tf.constant(self._class_weights, values.dtype)
        own = tf.linalg.matvec(tf.cast(label, values.dtype), weights) if soft else tf.gather(weights, label)
        return values * own

    def _shaped_loss(self, dtype: str) -> keras.losses.Loss:
        arguments = {"label_smoothing": self._options.label_smoothing, "reduction": None, "dtype": dtype}
        gamma = self._options.focal_gamma
        if self._head.name == "softmax":
            if gamma:
                # Weights of classes are `class_weights`' business: alpha is 1.
                return keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=gamma, **arguments)
            return keras.losses.CategoricalCrossentropy(**arguments)
        if gamma:
            return keras.losses.BinaryFocalCrossentropy(gamma=gamma, **arguments)
        return keras.losses.BinaryCrossentropy(**arguments)
