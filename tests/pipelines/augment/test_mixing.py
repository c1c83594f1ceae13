import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from base.errors import InputError
from pipelines.augment import mixing
from pipelines.augment.draws import draws_of
from pipelines.augment.mixing_steps import Cutmix, Mixup


def _draws(count: int):
    index = tf.range(count, dtype=tf.int64)
    return draws_of(3, tf.ones_like(index), index)


def _mixed(step, images: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return mixing.apply(step, images, label, mixing.draw(step, _draws(images.shape[0]).of_pairs()))


@pytest.mark.parametrize("alpha", [0.1, 0.2, 1.0, 8.0])
def test_shares_follow_the_beta_distribution(alpha):
    shares = mixing.draw(Mixup(alpha=alpha), _draws(20_000))["share"].numpy()
    # Kolmogorov and Smirnov's greatest distance, 1 % level; between 0 and 1, at which float32 collects what is nearest.
    places = np.linspace(0.001, 0.999, 999)
    below = np.searchsorted(np.sort(shares), places) / len(shares)
    assert np.abs(below - scipy.stats.beta(alpha, alpha).cdf(places)).max() < 1.63 / np.sqrt(len(shares))


def test_mixup_blends_each_with_its_partner_and_both_by_the_same_share():
    images = tf.reshape(tf.constant([0.0, 100.0, 40.0, 80.0]), [4, 1, 1, 1])
    parameters = {"share": tf.constant([0.75, 0.75, 0.5, 0.5])}
    mixed, label = mixing.apply(Mixup(), images, tf.one_hot([0, 1, 2, 2], 3), parameters)
    assert mixed.numpy().ravel().tolist() == [25, 75, 60, 60]
    assert label.numpy().tolist() == [[0.75, 0.25, 0], [0.25, 0.75, 0], [0, 0, 1], [0, 0, 1]]


def test_the_two_of_a_pair_have_one_share_and_pairs_differ():
    for step in (Mixup(), Cutmix()):
        for values in mixing.draw(step, _draws(64).of_pairs()).values():
            assert np.array_equal(values[::2], values[1::2])
            assert len(np.unique(values[::2])) > 16


def test_cutmix_exchanges_one_box_and_labels_are_its_exact_area():
    images = tf.tile(tf.constant([10.0, 200.0])[:, None, None, None], [32, 20, 30, 2])
    mixed, label = _mixed(Cutmix(alpha=1.0), images, tf.one_hot(tf.range(64) % 2, 2))
    for first, second, labels in zip(mixed[::2].numpy(), mixed[1::2].numpy(), label[::2].numpy(), strict=True):
        exchanged = first[..., 0] == 200
        assert np.array_equal(exchanged, second[..., 0] == 10)
        assert exchanged.any(axis=1).sum() * exchanged.any(axis=0).sum() == exchanged.sum()  # one rectangle
        assert labels[1] == pytest.approx(exchanged.mean(), abs=1e-6)
    assert np.allclose(tf.reduce_sum(label, axis=1), 1)
    assert 0.15 < label[::2, 1].numpy().mean() < 0.5  # a half, less what the edge cuts off


def test_some_pairs_only_are_mixed_if_the_probability_says_so():
    images = tf.tile(tf.constant([10.0, 200.0])[:, None, None, None], [200, 4, 4, 1])
    for step in (Mixup(alpha=1.0, probability=0.3), Cutmix(alpha=1.0, probability=0.3)):
        mixed, _ = _mixed(step, images, tf.one_hot(tf.range(400) % 2, 2))
        assert 0.15 < np.any(mixed != images, axis=(1, 2, 3)).mean() < 0.4
    mixed, label = _mixed(Mixup(alpha=0.0), images, tf.one_hot(tf.range(400) % 2, 2))
    assert np.array_equal(mixed, images)


def test_mixing_is_the_same_eagerly_in_a_dataset_and_compiled_and_keeps_bfloat16():
    images = tf.random.stateless_uniform([6, 9, 7, 4], [1, 2], 0, 255)
    label = tf.one_hot(tf.range(6), 6)
    for step in (Mixup(alpha=1.0), Cutmix()):

        def mix(images, label, step=step):
            return _mixed(step, images, label)

        eager = mix(images, label)
        mapped = next(iter(tf.data.Dataset.from_tensors((images, label)).map(mix)))
        compiled = tf.function(mix, jit_compile=True)(images, label)
        for other in (mapped, compiled):
            assert np.allclose(other[0], eager[0], atol=1e-3) and np.allclose(other[1], eager[1], atol=1e-6)
        half, _ = mix(tf.cast(images, tf.bfloat16), label)
        assert half.dtype == tf.bfloat16 and np.abs(tf.cast(half, tf.float32) - eager[0]).max() <= 1.01


def test_an_odd_batch_is_refused_when_it_is_traced():
    traced = tf.function(lambda images, label: _mixed(Mixup(), images, label), autograph=False)
    with pytest.raises(InputError, match="Expected an even number of examples .* Received: batch=5"):
        traced.get_concrete_function(tf.TensorSpec([5, 4, 4, 3]), tf.TensorSpec([5, 2]))
