import numpy as np
import pytest

from base.errors import InputError
from pipelines.reading.synthetic import constant_batches, synthetic_batch


def batch(**changed):
    return synthetic_batch((5, 5, 3), **{"examples": 1000, "classes": 3, "batch_size": 64, "seed": 7, **changed})


def test_a_synthetic_batch_is_a_batch_and_a_function_of_the_seed():
    found = {name: value.numpy() for name, value in batch().items()}
    types = {name: (str(value.dtype), value.shape) for name, value in found.items()}
    assert types == {
        "image": ("uint8", (64, 5, 5, 3)),
        "label": ("int32", (64,)),
        "index": ("int64", (64,)),
        "epoch": ("int64", (64,)),
        "weight": ("float32", (64,)),
    }
    assert set(found["label"]) == {0, 1, 2} and found["image"].min() < 10 and found["image"].max() > 245
    assert (found["weight"] == 1).all() and batch(examples=50)["index"].numpy().max() == 49
    np.testing.assert_array_equal(found["image"], batch()["image"])
    assert (found["image"] != batch(seed=8)["image"].numpy()).any()


def test_replicas_get_their_parts_of_the_same_batch_again_and_again():
    whole = batch()
    parts = list(constant_batches(whole, replicas=2).take(4).as_numpy_iterator())
    for name, value in whole.items():
        np.testing.assert_array_equal(np.concatenate([parts[0][name], parts[1][name]]), value)
        np.testing.assert_array_equal(np.concatenate([parts[2][name], parts[3][name]]), value)
    with pytest.raises(InputError, match="3 replicas"):
        constant_batches(whole, replicas=3)
