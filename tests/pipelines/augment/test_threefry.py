import pytest
import tensorflow as tf

from pipelines.augment.threefry import threefry2x32

# Of the authors' known-answer tests (Random123, kat_vectors): counter, key, words after 20 rounds.
PUBLISHED = [
    ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]


def _words(pair):
    return tuple(tf.constant(word, tf.uint32) for word in pair)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("counter", "key", "expected"), PUBLISHED)
def test_the_published_vectors_come_out(counter, key, expected, compiled):
    function = tf.function(threefry2x32, jit_compile=True) if compiled else threefry2x32
    assert tuple(int(word) for word in function(_words(key), _words(counter))) == expected
