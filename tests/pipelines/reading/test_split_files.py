"""Bad input, held and streamed: one line that names the shard, and the record where it is one."""

import dataclasses
import hashlib
import struct

import numpy as np
import pytest
import tensorflow as tf

from base.errors import InputError
from base.files import write_json
from pipelines.conversion import shards
from pipelines.images.input_options import InputSpec
from pipelines.manifest import FILE_NAME, read_manifest
from pipelines.reading.parts import Parts
from pipelines.reading.reader import read_error
from pipelines.reading.split_files import FILE_ERRORS
from pipelines.records import serialize

SPEC = InputSpec(image_size=6, channels=3, fit="stretch")


@pytest.fixture
def folder(tmp_path, fill, convert_into, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_BYTES", 2000)
    convert_into(fill(tmp_path / "in/train", {"a": 20, "b": 20}) and tmp_path / "in", tmp_path / "out", hold_out="0")
    return tmp_path / "out"


@pytest.fixture(params=["memory", "none"])
def refused(request, folder, open_split):
    """Reads an epoch; the error must be one line with all of these words."""

    def refused(*words):
        with pytest.raises(InputError) as refusal:
            opened = open_split(folder, SPEC, cache=request.param)
            try:
                for _ in opened.reader.training_batches(Parts(batch_size=4), seed=0).take(10):
                    pass
            except FILE_ERRORS as error:
                raise read_error(error, opened.files, opened.reader.frames) from None
        assert all(word in str(refusal.value) for word in words), refusal.value
        assert "\n" not in str(refusal.value)

    return refused


def _shard(folder, number=1):
    return next(folder.glob(f"*train.tfrecord-{number:05d}-*"))


def _rewrite(folder, change):
    """Writes a shard anew, its records changed by `change(records)`, and its size into the manifest."""
    path = _shard(folder)
    records = change([record.numpy() for record in tf.data.TFRecordDataset(str(path))])
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    manifest = read_manifest(folder)
    train = manifest.splits["train"]
    changed = tuple(
        dataclasses.replace(shard, bytes=path.stat().st_size, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
        if shard.file == path.name
        else shard
        for shard in train.shards
    )
    splits = {"train": dataclasses.replace(train, shards=changed)}
    write_json(folder / FILE_NAME, dataclasses.replace(manifest, splits=splits).to_json())
    return path


def test_a_missing_or_truncated_shard(folder, refused):
    shard = _shard(folder)
    shard.write_bytes(shard.read_bytes()[:-5])
    refused(shard.name, "bytes=")
    shard.unlink()
    refused(shard.name, "bytes=None")


def test_a_flipped_bit(folder, refused):
    shard = _shard(folder)
    content = bytearray(shard.read_bytes())
    (length,) = struct.unpack_from("<Q", content)
    content[length + 16 + 12 + 5] ^= 1  # in the second record
    shard.write_bytes(content)
    refused(shard.name, "record=1", "corrupted")


def test_a_shard_with_a_record_less_or_more_than_the_manifest_says(folder, refused):
    for change in (lambda records: records[:-1], lambda records: [*records, records[-1], records[-1]]):
        refused(_rewrite(folder, change).name, "records=")


@pytest.mark.parametrize(
    "record",
    [
        tf.train.Example().SerializeToString(),
        b"\xff no Example at all",
        serialize(b"no image", 0, "x"),
        serialize(tf.io.encode_png(np.zeros((3, 3, 3), np.uint8)).numpy()[:-30], 0, "x"),
        serialize(tf.io.encode_png(np.zeros((3, 3, 3), np.uint8)).numpy(), 7, "a label of no class"),
    ],
    ids=["another schema", "no Example", "no image", "broken image", "label"],
)
def test_a_record_that_can_not_be_used(folder, refused, record):
    refused(_rewrite(folder, lambda records: [records[0], record, *records[2:]]).name, "record=1")


def test_an_image_of_other_channels_than_promised(folder, open_split):
    # Four-colour JPEG, which gives no grey; by its header and body it is a whole file.
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.new("CMYK", (8, 8)).save(file, "JPEG")
    shard = _rewrite(folder, lambda records: [*records[:2], serialize(file.getvalue(), 0, "x"), *records[3:]])
    with pytest.raises(InputError, match=f"{shard.name}.*record=2"):
        open_split(folder, dataclasses.replace(SPEC, channels=1))


def test_pixels_of_another_size_than_promised(tmp_path, fill, convert_into, open_split):
    convert_into(
        fill(tmp_path / "in/train", {"a": 5, "b": 5}) and tmp_path / "in",
        tmp_path / "raw",
        encoding="raw",
        resize="exact=6x6",
    )
    manifest = read_manifest(tmp_path / "raw")
    write_json(tmp_path / "raw" / FILE_NAME, dataclasses.replace(manifest, image_shape=(7, 6)).to_json())
    with pytest.raises(InputError, match="record=0"):
        open_split(tmp_path / "raw", SPEC)


def test_a_manifest_of_another_version_or_with_other_counts(folder, open_split):
    manifest = read_manifest(folder)
    write_json(folder / FILE_NAME, {**manifest.to_json(), "version": 99})
    with pytest.raises(InputError, match="version"):
        read_manifest(folder)
    splits = {"train": dataclasses.replace(manifest.splits["train"], examples=41)}
    write_json(folder / FILE_NAME, dataclasses.replace(manifest, splits=splits).to_json())
    with pytest.raises(InputError, match="in_shards=40"):
        open_split(folder, SPEC)


def test_a_class_without_examples_can_not_be_balanced(folder, open_split):
    manifest = read_manifest(folder)
    splits = {"train": dataclasses.replace(manifest.splits["train"], examples_per_class=(40, 0))}
    write_json(folder / FILE_NAME, dataclasses.replace(manifest, splits=splits).to_json())
    with pytest.raises(InputError, match="without=\\['b'\\]"):
        open_split(folder, SPEC, balanced=True)
