import pytest
import tensorflow as tf

from base.errors import InputError
from pipelines.conversion import shards
from pipelines.reading.example_ids import ids_at, read_ids
from pipelines.reading.split_files import SplitFiles


@pytest.fixture
def files(tmp_path, fill, convert_into, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_BYTES", 1_500)
    fill(tmp_path / "in/train", {"cats": 9, "dögs": 11})
    manifest = convert_into(tmp_path / "in", tmp_path / "data", hold_out="0")
    assert len(manifest.splits["train"].shards) > 3
    return SplitFiles(folder=tmp_path / "data", manifest=manifest, name="train")


def test_ids_are_read_in_the_order_of_the_index_all_of_them_or_some(files):
    expected = []
    for path in files.paths:
        for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
            example = tf.train.Example.FromString(record)
            expected.append(example.features.feature["id"].bytes_list.value[0].decode())
    assert read_ids(files) == expected and len(set(expected)) == 20
    places = [19, 0, 7, 7, 12]
    assert ids_at(files, places) == [expected[place] for place in places]


def test_a_broken_shard_is_named_and_one_that_is_not_asked_for_is_not_read(files):
    last = files.paths[-1]
    with open(last, "r+b") as file:
        file.seek(20)
        file.write(b"\0\0\0")
    assert len(ids_at(files, [0, 1])) == 2
    with pytest.raises(InputError, match=last):
        read_ids(files)
