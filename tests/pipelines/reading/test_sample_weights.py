import numpy as np
import pytest
import tensorflow as tf

from base.errors import InputError
from pipelines.augment.augmentation import Augmentation
from pipelines.augment.mixing_steps import Mixup
from pipelines.augment.policy import Policy
from pipelines.reading.sample_weights import read_sample_weights, weighted

IDS = ["cats/1.jpg", "cats/2.jpg", "dogs/1, left.jpg"]


@pytest.fixture
def table(tmp_path):
    def table(*lines):
        path = tmp_path / "weights.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return table


def test_weights_come_in_the_order_of_the_split_whatever_that_of_the_lines(table):
    path = table("weight,note,id", '2.5,,"dogs/1, left.jpg"', "", "0,x,cats/1.jpg", "1e-3,,cats/2.jpg")
    weights = read_sample_weights(path, IDS)
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(weights, np.float32([0, 1e-3, 2.5]))


RIGHT = ["id,weight", "cats/1.jpg,1", "cats/2.jpg,1", '"dogs/1, left.jpg",1']


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["name,weight", *RIGHT[1:]], r"columns id and weight\. Received: columns=\['name', 'weight'\]"),
        (RIGHT[:-1], r"each of the 3 examples.*missing=\['dogs/1, left.jpg'\], count=1"),
        ([*RIGHT[:2], "cats/2.jpeg,1", RIGHT[3]], r"unknown=\['cats/2.jpeg'\], count=1. Did you mean 'cats/2.jpg'\?"),
        ([*RIGHT, "birds/1.jpg,1"], r"unknown=\['birds/1.jpg'\], count=1\.$"),
        ([*RIGHT, "cats/1.jpg,2"], r"comes again in line 5 of .*id='cats/1.jpg'"),
        (["id,weight", "cats/1.jpg,-1"], "at least 0 in line 2 of .*weight='-1'"),
        (["id,weight", "cats/1.jpg,nan"], "finite weight.*weight='nan'"),
        (["id,weight", "cats/1.jpg,1e39"], "finite weight.*weight='1e39'"),
        (["id,weight", "cats/1.jpg,heavy"], "weight='heavy'"),
        (["id,weight", "cats/1.jpg"], "2 cells in line 2.*cells=1"),
        (["id,weight", '"cats/1.jpg,1'], "readable file of sample weights"),
    ],
)
def test_what_is_wrong_with_the_file_is_said(table, lines, words):
    with pytest.raises(InputError, match=words):
        read_sample_weights(table(*lines), IDS)


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv"):
        read_sample_weights(tmp_path / "none.csv", IDS)


def test_augmentation_passes_the_weights_of_the_batch_through_also_where_it_mixes():
    image = tf.zeros([4, 2, 2, 1], tf.uint8)
    index = tf.constant([2, 0, 1, 2], tf.int64)
    batch = {"image": image, "label": tf.zeros([4], tf.int32), "index": index, "epoch": index * 0}
    dataset = weighted(tf.data.Dataset.from_tensors(batch), np.float32([0.5, 1, 4]))
    mix = Augmentation(Policy(steps=(Mixup(),)), seed=0, image_size=(2, 2), classes=3)
    mixed = mix(next(iter(dataset)))
    assert mixed["label"].shape == (4, 3)
    np.testing.assert_array_equal(mixed["sample_weight"], np.float32([4, 0.5, 1, 4]))
