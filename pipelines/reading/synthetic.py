"""Constant batches in place of a dataset: what the step reaches when input costs nothing."""

import numpy as np
import tensorflow as tf

from base.errors import require

Batch = dict[str, tf.Tensor]


def synthetic_batch(shape: tuple[int, int, int], *, examples: int, classes: int, batch_size: int, seed: int) -> Batch:
    """One batch of random pixels and labels, as `pipelines.reading.reader` describes batches; no file is read.

    Args:
        shape: (height, width, channels) of the images.
        examples: Of the split that the batch stands for; `index` is below.
        classes: How many; `label` is below.
        batch_size: B.
        seed: Of the run: pixels and labels are a function of it.
    """
    rng = np.random.default_rng(seed)
    return {
        "image": tf.constant(rng.integers(0, 256, (batch_size, *shape), np.uint8)),
        "label": tf.constant(rng.integers(0, classes, batch_size), tf.int32),
        "index": tf.range(batch_size, dtype=tf.int64) % examples,
        "epoch": tf.zeros([batch_size], tf.int64),
        "weight": tf.ones([batch_size]),
    }


def constant_batches(batch: Batch, *, replicas: int = 1) -> tf.data.Dataset:
    """An endless dataset of one batch. Element r, r + replicas, ... is part r of it, as readers give the parts.

    Raises:
        InputError: A batch that `replicas` do not divide.
    """
    size = batch["weight"].shape[0]
    require(size % replicas == 0, f"Expected a batch of a multiple of the {replicas} replicas", batch_size=size)
    parts = {name: tf.reshape(value, [replicas, size // replicas, *value.shape[1:]]) for name, value in batch.items()}
    elements = tf.data.Dataset.range(np.iinfo(np.int64).max)
    dataset = elements.map(lambda place: {name: value[place % replicas] for name, value in parts.items()})
    options = tf.data.Options()
    options.autotune.enabled = False  # there is nothing to tune
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(options)
