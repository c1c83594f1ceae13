import numpy as np
import pytest
import tensorflow as tf

from base.errors import InputError
from pipelines.images.frames import Frames
from pipelines.images.input_options import InputSpec
from pipelines.manifest import read_manifest
from pipelines.reading.options import ReaderOptions
from pipelines.reading.parts import Parts
from pipelines.reading.split_files import SplitFiles
from scripts.judging import sample
from scripts.training.feeds import Data

SPEC = InputSpec(image_size=16, channels=3, fit="stretch")


@pytest.fixture(scope="module")
def split(data):
    return SplitFiles(folder=data, manifest=read_manifest(data), name="train")


@pytest.mark.parametrize("count", [1, 32, 40, 58])
def test_it_is_what_a_training_of_the_held_split_begins_with(split, count):
    parts, held = Parts(batch_size=count), ReaderOptions(cache="memory")
    feed = Data(split.folder, split.manifest, SPEC, parts, held).training("train")
    expected = next(iter(feed.dataset))["image"].numpy()
    np.testing.assert_array_equal(sample.sample_of(split, SPEC, count, "images"), expected)


def test_no_more_is_decoded_than_is_asked_for_and_little_at_once(split, monkeypatch):
    seen, whole = [], Frames.whole

    def counted(self, images, orientation):
        tf.numpy_function(lambda batch: seen.append(len(batch)), [images], [])
        return whole(self, images, orientation)

    monkeypatch.setattr(Frames, "whole", counted)
    assert len(sample.sample_of(split, SPEC, 40, "images")) == 40
    assert sorted(seen) == [8, 32]


def test_more_is_asked_for_than_there_is(split):
    assert len(sample.sample_of(split, SPEC, 1000, "images")) == 58


def test_more_than_memory_holds_is_refused_by_the_name_of_its_option(split, monkeypatch):
    monkeypatch.setattr(sample, "Budget", lambda: type("Small", (), {"total": 16 * 16 * 3 * 40 - 1}))
    assert len(sample.sample_of(split, SPEC, 39, "images")) == 39
    with pytest.raises(InputError, match=r"40 images of split 'train', 30,720 bytes.*Lower --calibration\.$"):
        sample.sample_of(split, SPEC, 40, "calibration")


def test_a_record_that_can_not_be_used_is_named(split, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for path in split.folder.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    (shard, *_) = split.split.shards
    content = bytearray((folder / shard.file).read_bytes())
    content[len(content) // 2] ^= 255
    (folder / shard.file).write_bytes(content)
    broken = SplitFiles(folder=folder, manifest=split.manifest, name="train")
    with pytest.raises(InputError, match=shard.file):
        sample.sample_of(broken, SPEC, 40, "images")
