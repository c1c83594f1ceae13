import math

import numpy as np
import pytest
import tensorflow as tf

from pipelines.reading.order import evaluation_order, permuted, shard_order, training_order


def stream(examples, count, seed=7, batch=None):
    batch = batch or count
    parts = [training_order(tf.range(p, p + batch, dtype=tf.int64), examples, seed) for p in range(0, count, batch)]
    return [np.concatenate([part[i].numpy() for part in parts]) for i in (0, 1)]


@pytest.mark.parametrize("examples", [1, 2, 3, 10, 97])
@pytest.mark.parametrize("batch", [1, 3, 12])
def test_every_epoch_holds_every_example_once_whatever_the_batch_size(examples, batch):
    count = 4 * examples * batch
    index, epoch = stream(examples, count, batch=batch)
    whole_index, whole_epoch = stream(examples, count)
    np.testing.assert_array_equal(index, whole_index)
    np.testing.assert_array_equal(epoch, np.arange(count) // examples)
    np.testing.assert_array_equal(epoch, whole_epoch)
    assert (np.sort(index.reshape(-1, examples), axis=1) == np.arange(examples)).all()


@pytest.mark.parametrize("examples", [1797, 60_000])
def test_epochs_and_seeds_are_as_unlike_as_random_permutations(examples):
    epochs = stream(examples, 6 * examples)[0].reshape(6, examples)
    seeds = np.stack([stream(examples, examples, seed=s)[0] for s in (0, 1, 2**31 - 1)])
    rows = np.vstack([np.arange(examples), epochs, seeds])
    correlation = np.corrcoef(rows) - np.eye(len(rows))
    # A random permutation's correlation with another has deviation 1/sqrt(n); 45 pairs stay below 4.5 of them.
    assert abs(correlation).max() < 4.5 / np.sqrt(examples)


def test_evaluation_pads_with_weight_0():
    index, weight = evaluation_order(tf.range(3, 7, dtype=tf.int64), 5)
    assert index.numpy().tolist() == [3, 4, 0, 0]
    assert weight.numpy().tolist() == [1, 1, 0, 0]


def test_permutations_of_many_keys_and_sizes_at_once_are_permutations_and_as_random_as_they_should_be():
    def shuffled(size, count):
        place = tf.range(count * size, dtype=tf.int64)
        keys = tf.cast(place // size, tf.uint32), tf.zeros_like(place, tf.uint32)
        return (
            permuted(place % size, tf.fill([count * size], tf.constant(size, tf.int64)), keys).numpy().reshape(-1, size)
        )

    for size, count, most in ((1, 9, 0), (2, 3000, 10), (3, 6000, 20), (4, 12000, 55)):
        rows = shuffled(size, count)
        assert (np.sort(rows, axis=1) == np.arange(size)).all()
        seen, times = np.unique(rows, axis=0, return_counts=True)
        expected = count / math.factorial(size)
        # chi-squared; the bounds are passed by chance once in a thousand
        assert len(seen) == math.factorial(size) and ((times - expected) ** 2 / expected).sum() <= most
    rows = np.vstack([np.arange(997), shuffled(997, 30)])
    assert abs(np.corrcoef(rows) - np.eye(31)).max() < 4.5 / np.sqrt(997)


def test_shards_come_in_another_order_in_each_epoch_and_seed():
    orders = [tuple(shard_order(9, tf.constant(e, tf.int64), s).numpy()) for e in range(3) for s in range(2)]
    assert len(set(orders)) == 6 and all(sorted(order) == list(range(9)) for order in orders)
