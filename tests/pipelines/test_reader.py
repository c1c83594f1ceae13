import json

import numpy as np
import pytest
import tensorflow as tf

from base.errors import InputError
from pipelines import reader
from pipelines.input_options import InputSpec
from pipelines.manifest import read_manifest
from scripts import build_tfrecords

SPEC = InputSpec(image_size=4, channels=1, fit="stretch")


@pytest.fixture
def folder(tmp_path):
    """13 images whose pixels all are 10 times their place in the array; their label is that place's parity."""
    images = np.arange(13, dtype=np.uint8)[:, None, None].repeat(4, 1).repeat(4, 2) * 10
    np.savez(tmp_path / "a.npz", x_train=images, y_train=np.arange(13) % 2)
    out = tmp_path / "data"
    assert build_tfrecords.main([str(tmp_path / "a.npz"), "--out", str(out), "--hold-out", "0"]) == 0
    return out


def load(folder):
    return reader.load(folder, read_manifest(folder), "train", SPEC)


def test_a_split_is_read_whole_with_pixels_labels_and_ids_that_belong_together(folder):
    split = load(folder)
    value = split.image.numpy()[:, 0, 0, 0] // 10
    assert sorted(value) == list(range(13))
    assert (split.image.numpy() == (value * 10)[:, None, None, None]).all()
    assert (split.label.numpy() == value % 2).all()
    assert split.label.dtype == tf.int32 and split.image.dtype == tf.uint8


def test_training_batches_are_the_same_whatever_the_replicas_and_the_step_they_start_at(folder):
    split = load(folder)

    def batches(count, **arguments):
        dataset = reader.training_batches(split, batch_size=4, seed=3, **arguments).take(count)
        return [{k: v.numpy() for k, v in batch.items()} for batch in dataset]

    def column(batches, name):
        return np.concatenate([batch[name] for batch in batches])

    whole = batches(10)
    for name in whole[0]:
        np.testing.assert_array_equal(column(whole, name), column(batches(20, replicas=2), name))
        np.testing.assert_array_equal(column(whole[7:], name), column(batches(3, start_step=7), name))
    assert sorted(column(whole, "index")[:13]) == list(range(13))
    np.testing.assert_array_equal(column(whole, "epoch"), np.arange(40) // 13)
    assert (whole[0]["image"] == split.image.numpy()[whole[0]["index"]]).all()
    types = {name: value.dtype for name, value in whole[0].items()}
    assert types == {"image": "uint8", "label": "int32", "index": "int64", "epoch": "int64", "weight": "float32"}


@pytest.mark.parametrize("replicas", [1, 2])
def test_evaluation_gives_every_example_once_and_pads_with_weight_0(folder, replicas):
    batches = list(reader.evaluation_batches(load(folder), batch_size=4, replicas=replicas))
    index, weight = (np.concatenate([b[name].numpy() for b in batches]) for name in ("index", "weight"))
    assert len(index) == 16
    assert index[weight > 0].tolist() == list(range(13))


def only_shard(folder):
    return next(folder.glob("*train*.tfrecord*"))


def test_a_missing_shard_is_named(folder):
    shard = only_shard(folder)
    shard.unlink()
    with pytest.raises(InputError, match=shard.name):
        load(folder)


def test_a_truncated_shard_is_named(folder):
    shard = only_shard(folder)
    shard.write_bytes(shard.read_bytes()[:-5])
    with pytest.raises(InputError, match=shard.name):
        load(folder)


def test_a_flipped_bit_is_refused_with_the_split_named(folder):
    shard = only_shard(folder)
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(InputError, match="split 'train'"):
        load(folder)


def test_a_manifest_of_another_version_is_refused(folder):
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 99}))
    with pytest.raises(InputError, match="version"):
        read_manifest(folder)
