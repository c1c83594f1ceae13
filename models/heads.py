"""Heads: what the last layer gives, the loss it is trained with, and how scores are read. Free of TensorFlow at import.

softmax   `[B, K]` probabilities                cross-entropy
sigmoid   `[B, 1]` probability of class 1       binary cross-entropy; evaluation gives `[1 - p, p]`
linear    `[B, K]` scores                       Keras' hinge losses
"""

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

from base.errors import require
from base.options import option

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

HeadName = Literal["softmax", "sigmoid", "linear"]
LossName = Literal["auto", "cross_entropy", "hinge", "squared_hinge", "categorical_hinge"]

_LOSSES = {
    "softmax": ("cross_entropy",),
    "sigmoid": ("cross_entropy",),
    "linear": ("categorical_hinge", "hinge", "squared_hinge"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeadOptions:
    """The last layer and the loss."""

    head: HeadName = option("softmax", "softmax, one sigmoid unit (two classes), or linear scores")
    loss: LossName = option("auto", "auto: cross_entropy for softmax and sigmoid, categorical_hinge for linear")

    def __post_init__(self) -> None:
        fitting = ("auto", *_LOSSES[self.head])
        require(self.loss in fitting, f"Expected --loss {' or '.join(fitting)} with --head {self.head}", loss=self.loss)


@dataclasses.dataclass(frozen=True)
class Head:
    """A head for `classes` classes."""

    name: HeadName
    loss: str
    classes: int

    @property
    def units(self) -> int:
        """Units of the last layer."""
        return 1 if self.name == "sigmoid" else self.classes

    @property
    def activation(self) -> str:
        """Activation of the last layer."""
        return self.name

    @property
    def is_probable(self) -> bool:
        """Whether scores are probabilities."""
        return self.name != "linear"

    def targets(self, label: "tf.Tensor") -> "tf.Tensor":
        """Labels in the form that the Keras loss takes.

        Args:
            label: int32 `[B]`, or where examples were mixed float32 `[B, K]`: each class's share.

        Returns:
            For softmax `label` as it is; for sigmoid `[B, 1]`, class 1's share; for linear one-hot `[B, K]`.
        """
        import tensorflow as tf

        if self.name == "softmax":
            return label
        if self.name == "sigmoid":
            return label[:, 1:] if label.dtype.is_floating else label[:, None]
        return tf.one_hot(label, self.classes)

    def scores(self, outputs: "tf.Tensor") -> "tf.Tensor":
        """The model's outputs as `[B, K]`, a column a class."""
        import tensorflow as tf

        return tf.concat([1 - outputs, outputs], axis=1) if self.name == "sigmoid" else outputs

    def require_soft_labels(self) -> None:
        """Refuses to be trained on mixed labels where the loss has no meaning for them."""
        require(
            self.name != "linear",
            "Expected --head softmax or sigmoid where augmentation mixes examples: a hinge loss takes no shares",
            head=self.name,
            loss=self.loss,
        )

    def keras_loss(self, *, soft: bool = False, **arguments: Any) -> "keras.losses.Loss":
        """The Keras loss on `targets` and outputs; `soft`: the labels are shares of classes."""
        import keras

        if soft and self.name == "softmax":
            return keras.losses.CategoricalCrossentropy(**arguments)
        classes = {
            ("softmax", "cross_entropy"): keras.losses.SparseCategoricalCrossentropy,
            ("sigmoid", "cross_entropy"): keras.losses.BinaryCrossentropy,
            ("linear", "categorical_hinge"): keras.losses.CategoricalHinge,
            ("linear", "hinge"): keras.losses.Hinge,
            ("linear", "squared_hinge"): keras.losses.SquaredHinge,
        }
        return classes[self.name, self.loss](**arguments)

    def keras_accuracy(self) -> "keras.metrics.Metric":
        """Keras' accuracy on `targets` and outputs, under the name `accuracy`."""
        import keras

        metric = {
            "softmax": keras.metrics.SparseCategoricalAccuracy,
            "sigmoid": keras.metrics.BinaryAccuracy,
            "linear": keras.metrics.CategoricalAccuracy,
        }[self.name]
        return metric(name="accuracy")


def head_for(options: HeadOptions, classes: int) -> Head:
    """The head that the options ask for.

    Raises:
        InputError: One sigmoid unit, and not two classes.
    """
    require(
        options.head != "sigmoid" or classes == 2,
        "Expected a data set of 2 classes with --head sigmoid",
        classes=classes,
        do="Use --head softmax.",
    )
    return Head(options.head, _LOSSES[options.head][0] if options.loss == "auto" else options.loss, classes)
