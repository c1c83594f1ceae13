import numpy as np
import pytest
import tensorflow as tf

from pipelines.augment.batches import change_chosen


@pytest.mark.parametrize("chosen", [[], [4], [0, 2, 3, 9, 12], range(13)])
@pytest.mark.parametrize("parts", [1, 4, 8, 64])
def test_each_chosen_image_is_changed_once_and_no_other(parts, chosen):
    mask = np.isin(np.arange(13), list(chosen))
    images = tf.reshape(tf.range(13.0), [13, 1, 1, 1])
    changed = change_chosen(images, tf.constant(mask), lambda images, at: tf.gather(images, at) + 100, parts)
    assert np.array_equal(changed.numpy().ravel(), np.arange(13) + 100 * mask)


def test_what_is_not_chosen_is_not_computed():
    rounds = []

    def change(images: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
        rounds.append(len(at))
        return tf.gather(images, at)

    change_chosen(tf.zeros([64, 1, 1, 1]), tf.range(64) % 8 == 0, change, parts=16)
    assert rounds == [4, 4]
