import numpy as np
import pytest
import tensorflow as tf

from pipelines.order import evaluation_order, training_order


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
