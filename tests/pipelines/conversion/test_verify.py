import json
import struct

import pytest
import tensorflow as tf

from base.errors import InputError
from pipelines.conversion import shards
from pipelines.conversion.verify import verify
from pipelines.manifest import read_manifest
from pipelines.records import serialize


@pytest.fixture(params=["keep", "raw"])
def folder(request, tmp_path, fill, convert_into, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_BYTES", 2000)
    options = {"encoding": "raw", "resize": "exact=6x9"} if request.param == "raw" else {}
    convert_into(fill(tmp_path / "in", {"a": 20, "b": 20}), tmp_path / "out", **options)
    return tmp_path / "out"


def _shard(folder, number=1):
    return next(folder.glob(f"*train.tfrecord-{number:05d}-*"))


def _refused(folder, *words):
    with pytest.raises(InputError) as refusal:
        verify(folder, read_manifest(folder), threads=2)
    assert all(word in str(refusal.value) for word in words), refusal.value


def test_a_whole_dataset_passes_and_every_record_is_counted(folder):
    seen = []
    verify(folder, read_manifest(folder), threads=2, progress=lambda records, bytes: seen.append(records))
    assert sum(seen) == 40


def test_a_flipped_bit_names_the_first_bad_shard_and_record(folder):
    for number in (1, 2):
        shard = _shard(folder, number)
        content = bytearray(shard.read_bytes())
        (length,) = struct.unpack_from("<Q", content)
        content[length + 16 + 12 + 5] ^= 1  # in the second record
        shard.write_bytes(content)
    _refused(folder, _shard(folder, 1).name, "record=1", "corrupted")


def test_a_shard_that_is_cut_or_lacks_a_record_is_named(folder):
    shard = _shard(folder)
    content = shard.read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    shard.write_bytes(content[:-3])
    _refused(folder, shard.name, "record=", "truncated")
    shard.write_bytes(content[length + 16 :])
    _refused(folder, shard.name, "records=")
    shard.unlink()
    _refused(folder, shard.name, "missing")


@pytest.mark.parametrize(("image", "label"), [(b"no image", 0), (None, 7)])
def test_a_record_whose_checksums_are_right_and_content_is_wrong_is_named(folder, image, label):
    shard = _shard(folder)
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(shard))]
    good = tf.train.Example.FromString(records[1]).features.feature["image"].bytes_list.value[0]
    records[1] = serialize(image or good, label, "x")
    with tf.io.TFRecordWriter(str(shard)) as writer:
        for record in records:
            writer.write(record)
    _refused(folder, shard.name, "record=1")


def test_a_shard_that_was_replaced_by_another_whole_one_is_named(folder):
    _shard(folder, 0).write_bytes(_shard(folder, 1).read_bytes())
    manifest = json.loads((folder / "manifest.json").read_text())
    counts = [shard["examples"] for shard in manifest["splits"]["train"]["shards"][:2]]
    _refused(folder, _shard(folder, 0).name, "checksum" if counts[0] == counts[1] else "records")
