import hashlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from base.errors import InputError
from pipelines import ordered
from pipelines.conversion import shards
from pipelines.images.input_options import InputSpec
from pipelines.manifest import read_manifest
from pipelines.records import parse


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


def test_tfds_reads_the_same_pixels_labels_and_ids_wherever_the_folder_is_moved(tmp_path, images, convert_into):
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
    convert_into(tmp_path / "in", tmp_path / "out")
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


def test_grey_images_of_one_size_give_one_channel_and_their_shape(tmp_path, images, convert_into):
    pixels = images.pixels(40, 6, 5)[..., np.newaxis]
    np.savez(tmp_path / "in.npz", x=pixels, y=np.arange(40) % 2)
    manifest = convert_into(tmp_path / "in.npz", tmp_path / "out")
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


def test_shards_keep_within_their_size_and_the_manifest_holds_their_counts_and_checksums(
    tmp_path, fill, convert_into, monkeypatch
):
    monkeypatch.setattr(shards, "SHARD_BYTES", 2000)
    manifest = convert_into(fill(tmp_path / "in", {"a": 30, "b": 30}), tmp_path / "My data")
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


@pytest.mark.parametrize(
    "options",
    [{}, {"encoding": "jpeg", "resize": "short=4", "channels": 1}, {"encoding": "raw", "resize": "exact=5x4"}],
    ids=["keep", "jpeg", "raw"],
)
def test_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path, fill, convert_into, monkeypatch, options):
    monkeypatch.setattr(shards, "SHARD_BYTES", 2000)
    fill(tmp_path / "in", {"a": 20, "b": 20})
    (tmp_path / "in/a/broken.png").write_bytes(b"text")
    one = convert_into(tmp_path / "in", tmp_path / "one/out", workers=1, **options)
    eight = convert_into(tmp_path / "in", tmp_path / "eight/out", workers=8, **options)
    assert one == eight and one.skipped == 1
    for name in one.files:
        assert (tmp_path / "one/out" / name).read_bytes() == (tmp_path / "eight/out" / name).read_bytes(), name


def test_no_more_than_a_few_tasks_are_worked_on_ahead():
    begun, ahead = [], []
    with ThreadPoolExecutor(2) as pool:
        for task, _ in ordered.in_order(lambda task: pool.submit(begun.append, task), range(500), ahead=4):
            ahead.append(len(begun) - task)
    assert len(begun) == 500 and max(ahead) <= 6


def _folder_of(root, files):
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


@pytest.mark.parametrize("encoding", ["png", "jpeg", "raw"])
def test_tfds_and_the_reader_read_every_encoding_alike(tmp_path, images, convert_into, open_split, encoding):
    files = {f"train/{name}/{n}.png": images.png() for name in "ab" for n in range(3)}
    source = _folder_of(tmp_path / "in", files)
    manifest = convert_into(source, tmp_path / "out", hold_out="0", encoding=encoding, resize="exact=8x8", channels=3)
    found = _read_with_tfds(tmp_path / "out", "train")
    assert manifest.image_shape == (8, 8) and len(found) == 6
    spec = InputSpec(image_size=8, channels=3, fit="stretch")
    split = open_split(tmp_path / "out", spec).reader
    ids = [record["id"][0].numpy().decode() for record in _records(tmp_path / "out", manifest.splits["train"])]
    for id, label, pixels in zip(ids, split.label.numpy(), split.image.numpy(), strict=True):
        image, name = found[id]
        assert np.array_equal(pixels, image) and name == manifest.classes[label]


def test_raw_pixels_have_the_channels_of_arrays_and_the_reader_makes_others_of_them(
    tmp_path, images, convert_into, open_split
):
    pixels = images.pixels(20, 6, 5)[..., np.newaxis]
    np.savez(tmp_path / "in.npz", x_train=pixels, y_train=np.arange(20) % 2)
    manifest = convert_into(tmp_path / "in.npz", tmp_path / "out", encoding="raw", resize="exact=6x5")
    found = _read_with_tfds(tmp_path / "out", "train")
    assert manifest.channels == 1 and all(np.array_equal(found[id][0], pixels[int(id[8:-1])]) for id in found)
    spec = InputSpec(image_size=6, channels=3, fit="stretch")
    assert open_split(tmp_path / "out", spec).reader.image.shape[1:] == (6, 6, 3)


def test_an_image_with_an_orientation_is_the_same_upright_picture_kept_and_rewritten(
    tmp_path, images, convert_into, open_split
):
    corner = np.zeros((8, 16, 3), np.uint8)
    corner[:, :8] = 255  # left; at orientation 6, on top
    files = {f"train/{name}/{n}.jpg": images.jpeg(corner, 6) for name in "ab" for n in range(2)}
    source, spec = _folder_of(tmp_path / "in", files), InputSpec(image_size=16, channels=3, fit="stretch")
    for encoding in ("keep", "png"):
        manifest = convert_into(source, tmp_path / encoding, hold_out="0", encoding=encoding)
        assert manifest.oriented == 4 and manifest.image_shape == (16, 8)
        seen = open_split(tmp_path / encoding, spec).reader.image.numpy()
        assert (seen[:, :6] > 200).all() and (seen[:, 10:] < 50).all()
    kept = _records(tmp_path / "keep", read_manifest(tmp_path / "keep").splits["train"])
    assert [int(record["orientation"][0]) for record in kept] == [6] * 4


def test_bad_images_are_skipped_and_named_in_the_health_report_and_the_numbers_add_up(
    tmp_path, fill, images, convert_into
):
    fill(tmp_path / "in", {"a": 20, "b": 20})
    bad = {"text.jpg": b"text", "empty.jpg": b"", "cut.jpg": images.jpeg()[:-40], "<b>'\n.png": images.png()[:20]}
    _folder_of(tmp_path / "in", {f"a/{name}": data for name, data in bad.items()})
    _folder_of(tmp_path / "in", {"a/png by another name.jpg": images.png()})
    manifest = convert_into(tmp_path / "in", tmp_path / "out")
    assert (manifest.found, manifest.examples, manifest.skipped, manifest.left_out) == (45, 41, 4, 0)
    report = (tmp_path / "out/health.json").read_text()
    for reason in ("begins with b'text'", "the file is empty", "broken JPEG", "ends within its header"):
        assert reason in report
    with pytest.raises(InputError, match="on-error skip"):
        convert_into(tmp_path / "in", tmp_path / "strict", on_error="fail")
    assert sorted(os.listdir(tmp_path)) == ["in", "out"]


def test_a_class_whose_images_are_all_broken_is_refused(tmp_path, fill, convert_into):
    fill(tmp_path / "in", {"a": 10, "b": 10})
    _folder_of(tmp_path / "in", {f"c/{n}.png": b"none" for n in range(10)})
    with pytest.raises(InputError, match="readable example of every class in train.*'c'"):
        convert_into(tmp_path / "in", tmp_path / "out")
    assert os.listdir(tmp_path) == ["in"]


def test_without_checks_broken_pixels_pass_and_broken_headers_do_not(tmp_path, fill, images, convert_into):
    fill(tmp_path / "in", {"a": 10, "b": 10})
    data = images.jpeg(images.pixels(40, 40))
    _folder_of(tmp_path / "in", {"a/cut.jpg": data[:-200], "a/text.jpg": b"text"})
    manifest = convert_into(tmp_path / "in", tmp_path / "out", check="none")
    assert (manifest.examples, manifest.skipped) == (21, 1)


def test_what_a_source_knows_to_be_missing_counts_as_skipped_or_is_refused(tmp_path, fill, convert_into):
    fill(tmp_path / "in", {"a": 20})
    rows = [f"a/{n:03}.png,{'xy'[n % 2]}" for n in range(20)] + ["a/missing.png,x"]
    (tmp_path / "in/table.csv").write_text("image,label\n" + "\n".join(rows))
    manifest = convert_into(tmp_path / "in/table.csv", tmp_path / "out")
    assert (manifest.found, manifest.examples, manifest.skipped) == (21, 20, 1)
    with pytest.raises(InputError, match="missing.png"):
        convert_into(tmp_path / "in/table.csv", tmp_path / "strict", on_error="fail")
    assert sorted(os.listdir(tmp_path)) == ["in", "out"]
