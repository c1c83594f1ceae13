import hashlib
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from pipelines import convert as convert_module
from pipelines.convert import convert
from pipelines.convert_options import ConvertOptions
from pipelines.manifest import read_manifest
from pipelines.plan import plan_splits
from pipelines.records import parse
from pipelines.source_options import SourceOptions
from pipelines.sources.arrays import from_arrays
from pipelines.sources.open import open_source


def _convert(source_path, out, **options):
    chosen = SourceOptions(source=str(source_path))
    source = open_source(chosen)
    return convert(source, plan_splits(source, chosen).splits, ConvertOptions(out=str(out)), chosen.made_by(), **options)


def _records(folder, split):
    files = [str(folder / shard.file) for shard in split.shards]
    return [parse([record.numpy()]) for record in tf.data.TFRecordDataset(files)]


def _read_with_tfds(folder, split):
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(folder))
    examples = list(builder.as_dataset(split=split).as_numpy_iterator())
    assert builder.info.splits[split].num_examples == len(examples)
    names = builder.info.features["label"].names
    return {example["id"].decode(): (example["image"], names[example["label"]]) for example in examples}


def test_tfds_reads_the_same_pixels_labels_and_ids_wherever_the_folder_is_moved(tmp_path, images):
    for name in ("a cat", "dog"):
        (tmp_path / "in/train" / name).mkdir(parents=True)
    colour, frame, palette = images.pixels(5, 7), images.pixels(5, 7, 1) % 128, images.pixels(128, 3, 1)[..., 0]
    jpeg, grey = images.jpeg(images.pixels(9, 8)), images.pixels(4, 4, 2)
    files = {
        "train/a cat/Ünïcode '1'.jpg": jpeg,
        "train/a cat/really.jpg": images.png(colour),  # a PNG by another name
        "train/a cat/frames.gif": images.gif([frame[..., 0], frame[..., 0] // 2], palette),
        "train/dog/flat.bmp": images.bmp(colour),
        "train/dog/grey.png": images.png(grey),
    }
    for path, data in files.items():
        (tmp_path / "in" / path).write_bytes(data)
    _convert(tmp_path / "in", tmp_path / "out")
    (tmp_path / "moved").mkdir()
    shutil.move(tmp_path / "out", tmp_path / "moved/away")

    manifest = read_manifest(tmp_path / "moved/away")
    assert manifest.channels == 3 and manifest.image_shape is None and list(manifest.splits) == ["train"]
    assert set(manifest.files) == set(os.listdir(tmp_path / "moved/away"))
    expected = {
        "train/a cat/Ünïcode '1'.jpg": tf.io.decode_jpeg(jpeg).numpy(),
        "train/a cat/really.jpg": colour,
        "train/a cat/frames.gif": palette[frame[..., 0]],
        "train/dog/flat.bmp": colour,
        "train/dog/grey.png": np.repeat(grey[..., :1], 3, axis=-1),
    }
    found = _read_with_tfds(tmp_path / "moved/away", "train")
    assert found.keys() == expected.keys()
    for id, (pixels, name) in found.items():
        assert np.array_equal(pixels, expected[id]), id
        assert name == id.split("/")[1]
    kept = {
        record["id"].numpy()[0].decode(): record["image"].numpy()[0]
        for record in _records(tmp_path / "moved/away", manifest.splits["train"])
    }
    assert (
        kept["train/a cat/Ünïcode '1'.jpg"] == jpeg
        and kept["train/a cat/really.jpg"] == files["train/a cat/really.jpg"]
    )


def test_grey_images_of_one_size_give_one_channel_and_their_shape(tmp_path, images):
    pixels = images.pixels(40, 6, 5)[..., np.newaxis]
    np.savez(tmp_path / "in.npz", x=pixels, y=np.arange(40) % 2)
    manifest = _convert(tmp_path / "in.npz", tmp_path / "out")
    assert manifest.channels == 1 and manifest.image_shape == (6, 5)
    assert {name: split.examples_per_class for name, split in manifest.splits.items()} == {
        "train": (16, 16),
        "validation": (2, 2),
        "test": (2, 2),
    }
    found = {
        id: image for split in manifest.splits for id, (image, _) in _read_with_tfds(tmp_path / "out", split).items()
    }
    assert len(found) == 40 and all(np.array_equal(found[f"x[{place}]"], pixels[place]) for place in range(40))


def test_shards_keep_within_their_size_and_the_manifest_holds_their_counts_and_checksums(tmp_path, fill):
    manifest = _convert(fill(tmp_path / "in", {"a": 30, "b": 30}), tmp_path / "My data", shard_bytes=2000)
    train = manifest.splits["train"]
    assert [shard.file for shard in train.shards][:2] == [
        f"my_data-train.tfrecord-0000{n}-of-0000{len(train.shards)}" for n in (0, 1)
    ]
    for shard in train.shards:
        content = (tmp_path / "My data" / shard.file).read_bytes()
        assert len(content) == shard.bytes <= 2000 and hashlib.sha256(content).hexdigest() == shard.sha256
        assert shard.examples == sum(1 for _ in tf.data.TFRecordDataset(str(tmp_path / "My data" / shard.file)))
    assert sum(shard.examples for shard in train.shards) == train.examples == 48
    labels = [int(record["label"][0]) for record in _records(tmp_path / "My data", train)]
    assert labels != sorted(labels), "classes are mixed"
    assert len(_read_with_tfds(tmp_path / "My data", "train")) == 48


def test_the_bytes_do_not_depend_on_the_number_of_cores_or_on_who_is_ready_first(tmp_path, fill, monkeypatch):
    fill(tmp_path / "in", {"a": 20, "b": 20})
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(1))
    one = _convert(tmp_path / "in", tmp_path / "one/out", shard_bytes=2000)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(8))
    eight = _convert(tmp_path / "in", tmp_path / "eight/out", shard_bytes=2000)
    assert one == eight
    for name in one.files:
        assert (tmp_path / "one/out" / name).read_bytes() == (tmp_path / "eight/out" / name).read_bytes(), name


def test_no_more_than_a_few_chunks_are_read_ahead_of_the_writer(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(2))
    read, written = [], []
    source = from_arrays("set", {None: ("x", np.zeros((5000, 2, 2), np.uint8), "y", np.arange(5000) % 2)})
    counted = convert_module.dataclasses.replace(
        source, read=lambda places: (read.append(len(places)), source.read(places))[1]
    )
    chosen = ConvertOptions(out=str(tmp_path / "out"))
    convert(counted, {"train": np.arange(5000)}, chosen, {}, progress=lambda done: written.append((done, sum(read))))
    ahead = [seen - sum(done for done, _ in written[:place]) for place, (_, seen) in enumerate(written)]
    assert sum(read) == 5000 and max(ahead) <= 256 * 6


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_conversion_leaves_nothing_and_the_old_dataset_in_place(tmp_path, fill, error):
    def stop(done):
        raise error

    fill(tmp_path / "in", {"a": 5, "b": 5})
    with pytest.raises(error):
        _convert(tmp_path / "in", tmp_path / "deep/er/out", progress=stop)
    assert os.listdir(tmp_path) == ["in"]
    old = _convert(tmp_path / "in", tmp_path / "out")
    with pytest.raises(error):
        _convert(tmp_path / "in", tmp_path / "out", progress=stop)
    assert sorted(os.listdir(tmp_path)) == ["in", "out"] and read_manifest(tmp_path / "out") == old
