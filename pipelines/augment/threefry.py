"""Threefry-2x32 with 20 rounds: a random number is a function of a key and a counter, on every device the same.

Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3 (2011), https://doi.org/10.1145/2063384.2063405
"""

import tensorflow as tf

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_GROUPS = 5  # of four rounds; a key word is added after each

Words = tuple[tf.Tensor, tf.Tensor]


def threefry2x32(key: Words, counter: Words) -> Words:
    """Two random words for each pair of a key and a counter.

    Args:
        key: Two uint32 tensors.
        counter: Two uint32 tensors; all four shapes are broadcast against each other.

    Returns:
        Two uint32 tensors, each uniform over all words.
    """
    keys = (key[0], key[1], key[0] ^ key[1] ^ tf.constant(_PARITY, tf.uint32))
    x, y = counter[0] + keys[0], counter[1] + keys[1]
    for group in range(1, _GROUPS + 1):
        for rotation in _ROTATIONS[(group - 1) % 2]:
            x = x + y
            y = _rotated_left(y, rotation) ^ x
        x = x + keys[group % 3]
        y = y + keys[(group + 1) % 3] + tf.constant(group, tf.uint32)
    return x, y


def _rotated_left(word: tf.Tensor, bits: int) -> tf.Tensor:
    left = tf.bitwise.left_shift(word, tf.constant(bits, tf.uint32))
    return left | tf.bitwise.right_shift(word, tf.constant(32 - bits, tf.uint32))
