import keras
import numpy as np

from models.cnn import build_cnn
from models.cnn_options import CNNOptions
from models.export.float32 import in_float32
from models.heads import Head

SHAPE = (16, 16, 3)
OPTIONS = CNNOptions(blocks=2, filters=4, batch_norm=True)


def test_a_model_of_mixed_precision_becomes_the_one_that_float32_would_have_built():
    head = Head("softmax", "cross_entropy", 3)
    plain = build_cnn(OPTIONS, SHAPE, head)
    keras.config.set_dtype_policy("mixed_bfloat16")
    mixed = build_cnn(OPTIONS, SHAPE, head)
    mixed.set_weights(plain.get_weights())
    images = np.random.default_rng(0).integers(0, 256, (5, *SHAPE)).astype(np.float32)
    expected = plain(images).numpy()
    assert np.abs(mixed(images).numpy() - expected).max() > 1e-4
    np.testing.assert_array_equal(in_float32(mixed, SHAPE)(images).numpy(), expected)
