"""Plain datasets of the user's own -> feeds: `(images, labels)` batches, as Keras' `fit` takes them."""

import tensorflow as tf

from base.errors import require
from models.training.feed import Feed


def training_feed(dataset: tf.data.Dataset, *, replicas: int, batch_size: int | None = None) -> Feed:
    """An endless feed: batches run across the ends of epochs, so that every example comes once in each.

    Args:
        dataset: Batches `(image [B, H, W, C], label int [B])`; finite. One that shuffles does so anew in each epoch.
        replicas: That the trainer runs on.
        batch_size: Of the global batch; by default the dataset's own.

    Raises:
        InputError: Batches of another form, no example, or a batch size that the replicas can't share evenly.
    """
    examples, largest = _count(dataset)
    size = batch_size or largest
    part = _part(size, replicas)
    places = tf.data.Dataset.counter().batch(part)
    parts = tf.data.Dataset.zip(dataset.repeat().rebatch(part, drop_remainder=True), places)

    def batch(example: tuple[tf.Tensor, tf.Tensor], place: tf.Tensor) -> dict[str, tf.Tensor]:
        return _columns(*example, place % examples, place // examples, tf.ones([part]))

    return Feed(dataset=parts.map(batch).prefetch(tf.data.AUTOTUNE), examples=examples, batch_size=size)


def evaluation_feed(dataset: tf.data.Dataset, *, replicas: int, batch_size: int | None = None) -> Feed:
    """A feed of every example once; the last batch is padded with weight 0. See `training_feed`."""
    examples, largest = _count(dataset)
    size = batch_size or largest
    part = _part(size, replicas)
    padding = -examples % size
    image, label = next(iter(dataset.unbatch()))  # any example will do
    filling = tf.data.Dataset.from_tensors((image, label)).repeat(padding).batch(part)
    parts = tf.data.Dataset.zip(dataset.concatenate(filling).rebatch(part), tf.data.Dataset.counter().batch(part))

    def batch(example: tuple[tf.Tensor, tf.Tensor], place: tf.Tensor) -> dict[str, tf.Tensor]:
        inside = place < examples
        return _columns(*example, tf.where(inside, place, 0), tf.zeros_like(place), tf.cast(inside, tf.float32))

    return Feed(dataset=parts.map(batch).prefetch(tf.data.AUTOTUNE), examples=examples, batch_size=size)


def _columns(
    image: tf.Tensor, label: tf.Tensor, index: tf.Tensor, epoch: tf.Tensor, weight: tf.Tensor
) -> dict[str, tf.Tensor]:
    return {"image": image, "label": tf.cast(label, tf.int32), "index": index, "epoch": epoch, "weight": weight}


def _part(size: int, replicas: int) -> int:
    require(
        size >= replicas and size % replicas == 0,
        f"Expected batches of a multiple of the {replicas} replicas",
        batch_size=size,
        do="Give batch_size.",
    )
    return size // replicas


def _count(dataset: tf.data.Dataset) -> tuple[int, int]:
    """The examples in a dataset, and in its largest batch."""
    spec = dataset.element_spec
    require(
        isinstance(spec, tuple)
        and len(spec) == 2
        and all(isinstance(part, tf.TensorSpec) for part in spec)
        and spec[1].shape.rank == 1
        and spec[1].dtype.is_integer,
        "Expected batches (image, label) with integer labels [B]",
        element_spec=str(spec),
    )
    require(
        int(dataset.cardinality()) != tf.data.INFINITE_CARDINALITY,
        "Expected a finite dataset: it is repeated here",
        do="Leave repeat() out.",
    )
    sizes = dataset.map(lambda _, label: tf.size(label))
    largest, examples = sizes.reduce((0, 0), lambda seen, size: (tf.maximum(seen[0], size), seen[1] + size))
    require(int(examples) > 0, "Expected a dataset of at least one example", examples=int(examples))
    return int(examples), int(largest)
