import gzip

import numpy as np
import pytest
import tensorflow as tf

from base.errors import InputError
from pipelines.conversion.plan import plan_splits
from pipelines.sources.crc32c import crc32c, masked_crc32c
from pipelines.sources.open import open_source
from pipelines.sources.options import SourceOptions
from pipelines.sources.source import Unreadable


def _record(**features):
    """An Example; keys with a slash are written with two underscores."""
    content = {}
    for name, value in features.items():
        values = value if isinstance(value, list) else [value]
        kind = {int: "int64_list", bytes: "bytes_list", float: "float_list"}[type(values[0])]
        content[name.replace("__", "/")] = tf.train.Feature(**{kind: {"value": values}})
    return tf.train.Example(features=tf.train.Features(feature=content)).SerializeToString()


def _imagenet(image, label, text=None, **others):
    """What ImageNet's usual scripts write."""
    names = {} if text is None else {"image__class__text": text.encode()}
    box = {"image__object__bbox__xmin": [0.1, 0.5], "image__object__bbox__label": [label, label], **others}
    return _record(
        image__encoded=image, image__height=375, image__format=b"JPEG", image__class__label=label, **names, **box
    )


def _write(path, *records):
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path


def _open(pattern, **options):
    return open_source(SourceOptions(source=f"records:{pattern}", **options))


def test_the_checksum_is_what_tensorflow_writes_at_every_length(tmp_path):
    assert crc32c(b"123456789") == 0xE3069283 and crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    random = np.random.default_rng(0)
    for size in (0, 1, 255, 256, 257, 1023, 1024, 1025, 300_000):
        data = random.bytes(size)
        written = _write(tmp_path / "one", data).read_bytes()
        assert masked_crc32c(data) == int.from_bytes(written[-4:], "little"), size


def test_imagenets_records_give_their_images_labels_names_and_splits(tmp_path):
    images = [np.random.default_rng(n).bytes(1 + 3000 * n) for n in range(6)]
    texts = ["tench, Tinca tinca", "goldfish, Carassius auratus"]
    records = [_imagenet(image, n % 2 + 1, texts[n % 2]) for n, image in enumerate(images)]
    _write(tmp_path / "in/train-00000-of-00002", *records[:3])
    _write(tmp_path / "in/train-00001-of-00002", *records[3:5])
    _write(tmp_path / "in/validation-00000-of-00001", records[5])
    source = _open(tmp_path / "in/*")
    assert source.read([4, 0, 5]) == [images[4], images[0], images[5]]
    assert source.classes == tuple(texts) and source.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert {name: places.tolist() for name, places in source.splits.items()} == {
        "train": [0, 1, 2, 3, 4],
        "validation": [5],
    }
    assert source.ids[3] == "train-00001-of-00002[0]" and source.sizes.tolist() == [len(image) for image in images]
    assert any("labels count from 1: label 1 becomes class 0" in note for note in source.notes)


def test_class_names_name_labels_that_count_from_0_or_from_1(tmp_path):
    for first in (0, 1):
        _write(tmp_path / "x.tfrecord", *[_imagenet(b"x", label + first) for label in (2, 0, 1)])
        source = _open(tmp_path / "x.tfrecord", class_names=("a", "b", "c"))
        assert source.labels.tolist() == [2, 0, 1] and source.splits is None
        assert any("count from 1" in note for note in source.notes) == bool(first)
    with pytest.raises(InputError, match=r"x.tfrecord\[0\]', label=3"):
        _open(tmp_path / "x.tfrecord", class_names=("a", "b"))


def test_labels_may_be_texts_and_the_features_have_any_names(tmp_path):
    records = [
        _record(jpg=image, cls=label, other=[1, -2]) for image, label in ((b"1", b"dog"), (b"2", "k\u00e4fer".encode()))
    ]
    source = _open(_write(tmp_path / "a.tfrecord", *records), image_key="jpg", label_key="cls")
    assert source.classes == ("dog", "käfer") and source.read([1, 0]) == [b"2", b"1"]


def test_two_classes_of_one_name_are_called_by_their_labels(tmp_path):
    records = [_imagenet(b"x", label, text) for label, text in ((134, "crane"), (517, "crane"), (9, "ostrich"))]
    source = _open(_write(tmp_path / "a.tfrecord", *records))
    assert source.classes == ("9", "134", "517") and any("'crane'" in note for note in source.notes)


def test_records_without_image_or_label_are_named_and_every_record_is_counted(tmp_path):
    records = [_imagenet(b"1", 0), b"\xff\xff no example", _record(image__encoded=b"2"), _imagenet(b"3", 1)]
    records += [
        _imagenet(b"4", -1),
        _record(image__class__label=1),
        _record(image__encoded=b"5", image__class__label=b"x"),
    ]
    source = _open(_write(tmp_path / "a.tfrecord", *records))
    assert source.ids == ["a.tfrecord[0]", "a.tfrecord[3]"] and source.read([0, 1]) == [b"1", b"3"]
    assert [problem.id for problem in source.problems] == [f"a.tfrecord[{n}]" for n in (1, 2, 4, 5, 6)]
    assert "no label in the feature 'image/class/label'" in source.problems[1].reason
    assert "-1" in source.problems[2].reason and "others are numbers" in source.problems[4].reason


def test_a_record_whose_bytes_have_changed_is_unreadable_and_the_others_are_read(tmp_path):
    path = _write(tmp_path / "a.tfrecord", *[_imagenet(bytes([65 + n]) * 2000, n % 2) for n in range(4)])
    content = path.read_bytes()
    path.write_bytes(content.replace(b"B" * 2000, b"B" * 1999 + b"b"))
    first, second, *others = _open(path).read([0, 1, 2, 3])
    assert isinstance(second, Unreadable) and "checksum" in second.reason
    assert [first, *others] == [b"A" * 2000, b"C" * 2000, b"D" * 2000]


def test_a_file_that_is_cut_gives_the_records_before_the_cut(tmp_path):
    path = _write(tmp_path / "a.tfrecord", *[_imagenet(b"x" * 500, n % 2) for n in range(4)])
    path.write_bytes(path.read_bytes()[:-100])
    source = _open(path)
    assert len(source.ids) == 3 and [problem.id for problem in source.problems] == ["a.tfrecord[3]"]
    content = bytearray(path.read_bytes())
    content[(len(content) + 100) // 4 * 2 + 3] ^= 1  # the length of the third record
    path.write_bytes(content)
    assert len(_open(path).ids) == 2


def test_splits_are_the_sources_own_and_rename_before_a_part_is_held_out(tmp_path):
    for name, count in (("flowers_train.tfrecord", 40), ("flowers_validation.tfrecord", 10)):
        _write(tmp_path / name, *[_imagenet(b"x", n % 2) for n in range(count)])
    options = SourceOptions(source=f"records:{tmp_path}/*", rename_split="validation=test")
    splits = plan_splits(open_source(options), options).splits
    assert {name: len(places) for name, places in splits.items()} == {"train": 36, "validation": 4, "test": 10}


def test_records_that_can_not_be_used_are_refused(tmp_path):
    good = _write(tmp_path / "a.tfrecord", _imagenet(b"x", 0), _imagenet(b"y", 1))
    (tmp_path / "b.gz").write_bytes(gzip.compress(good.read_bytes()))
    (tmp_path / "c.txt").write_bytes(b"This is a text, and no TFRecord file.")
    _write(tmp_path / "train-0", _imagenet(b"x", 0))
    for pattern, options, named in (
        ("nothing*", {}, "files=0"),
        ("b.gz", {}, "uncompressed TFRecord.*gzip"),
        ("c.txt", {}, "Expected a TFRecord file.*c.txt"),
        ("a.tfrecord", {"image_key": "image"}, r"image in 'image'.*features=\['image/class/label', 'image/encoded'"),
        ("[at]*", {}, "split in every file's name.*without='a.tfrecord', with_one='train-0'"),
        ("a.tfrecord", {"group_column": "x"}, "--group-column only where SOURCE is a table"),
    ):
        with pytest.raises(InputError, match=named):
            _open(tmp_path / pattern, **options)
