import numpy as np
import tensorflow as tf

from pipelines.augment.draws import draws_of

SEED = 5


def _numbers(epoch, index):
    draws = draws_of(SEED, epoch, index).stream(3)
    return draws.bits(5), draws.uniform(5)


def _int64(*values):
    return tf.constant(values, tf.int64)


def test_an_example_draws_the_same_bits_alone_in_a_batch_compiled_and_in_a_dataset():
    alone = [value[0] for value in _numbers(_int64(3), _int64(17))]
    index = tf.range(64, dtype=tf.int64)
    epoch = tf.where(index < 10, _int64(2), _int64(3))
    in_batch = [value[17] for value in _numbers(epoch, index)]
    compiled = [value[17] for value in tf.function(_numbers, jit_compile=True)(epoch, index)]
    mapped = next(iter(tf.data.Dataset.from_tensors((_int64(0, 3), _int64(1, 17))).map(_numbers)))
    for others in (in_batch, compiled, [value[1] for value in mapped]):
        for one, other in zip(alone, others, strict=True):
            np.testing.assert_array_equal(one, other)


def test_seed_epoch_index_and_stream_each_change_the_draws_and_a_longer_draw_begins_as_a_shorter_one():
    def bits(seed=SEED, epoch=3, index=17, stream=3):
        return draws_of(seed, _int64(epoch), _int64(index)).stream(stream).bits(4).numpy()

    others = [bits(), bits(seed=6), bits(epoch=4), bits(index=18), bits(stream=2), bits(index=2**31)]
    assert len({other.tobytes() for other in others}) == len(others)
    draws = draws_of(SEED, _int64(3), _int64(17))
    np.testing.assert_array_equal(draws.bits(7)[:, :4], draws.bits(4))


def test_uniforms_are_uniform_and_uncorrelated():
    n = 20_000
    drawn = draws_of(0, tf.zeros(n, tf.int64), tf.range(n, dtype=tf.int64)).uniform(3).numpy()
    assert drawn.min() >= 0 and drawn.max() < 1
    for column in drawn.T:
        gaps = np.abs(np.sort(column) - np.arange(n) / n)
        assert gaps.max() < 1.95 / np.sqrt(n)  # Kolmogorov-Smirnov, one in a thousand
    correlations = np.corrcoef(np.concatenate([drawn[:-1].T, drawn[1:].T]))
    assert np.abs(correlations - np.eye(6)).max() < 4 / np.sqrt(n)


def test_pairs_draw_together():
    draws = draws_of(SEED, tf.zeros(6, tf.int64), tf.range(6, dtype=tf.int64))
    together = draws.of_pairs().bits(2).numpy()
    np.testing.assert_array_equal(together[::2], together[1::2])
    np.testing.assert_array_equal(together[::2], draws.bits(2)[::2])
