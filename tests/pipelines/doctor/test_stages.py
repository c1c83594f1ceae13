"""What the doctor measures is what the readers do; how long it takes is no matter of tests."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from models.training import hardware
from models.training.options import HardwareOptions
from pipelines.augment.augmentation import host_crop
from pipelines.augment.policy import Policy, read_steps
from pipelines.doctor import remedies, sample, stages
from pipelines.doctor.stages import Measuring
from pipelines.images.form import Form, parse_resize
from pipelines.images.frames import training_frames
from pipelines.images.input_options import InputSpec
from pipelines.manifest import Shard, Split
from pipelines.reading.split_files import SplitFiles
from pipelines.reading.synthetic import synthetic_batch

BRIEFLY = Measuring(seconds=0.02, threads=2)


@pytest.fixture
def photos(tmp_path, images, convert_into):
    """30 JPEGs of 40 x 60 pixels, each with EXIF orientation 6; the function converts them."""
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
    for i in range(30):
        smooth = np.linspace(0, 255, 40 * 60 * 3).reshape(40, 60, 3).astype(np.uint8)
        (tmp_path / "photos" / ("cat", "dog")[i % 2] / f"{i}.jpg").write_bytes(
            images.jpeg(smooth + np.uint8(i), orientation=6)
        )

    def convert(**form):
        out = tmp_path / "data"
        return out, convert_into(tmp_path / "photos", out, **form)

    return convert


def frames_of(policy=None, **spec):
    spec = InputSpec(**{"image_size": 16, "channels": 3, "fit": "stretch", **spec})
    return lambda manifest: training_frames(manifest, spec, policy, host_crop(policy, 5))


def drawn(folder, manifest, count):
    return sample.draw(SplitFiles(folder=folder, manifest=manifest, name="train"), frames_of()(manifest), count)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("form", [{"encoding": "keep"}, {"encoding": "raw", "resize": "exact=20x30"}])
def test_decode_and_resize_together_are_the_frames_that_the_reader_makes(photos, form, channels):
    folder, manifest = photos(**form)
    frames = frames_of(channels=channels, fit="crop")(manifest)
    columns = drawn(folder, manifest, 5).columns
    path = sample.decoding(frames)
    read = frames.whole(columns["image"], columns["orientation"])
    for i in range(5):
        np.testing.assert_array_equal(path.frame({name: column[i] for name, column in columns.items()}), read[i])


def test_where_the_crop_is_cut_out_while_decoding_the_windows_are_what_is_decoded(photos):
    folder, manifest = photos(encoding="keep")
    frames = frames_of(Policy(steps=read_steps("imagenet")))(manifest)
    columns = drawn(folder, manifest, 5).columns
    path = sample.decoding(frames)
    prepared = path.prepare(columns)
    sizes, index = tf.constant([[40, 60]] * 5), tf.range(5, dtype=tf.int64)
    read = frames.cropped(
        lambda place: columns["image"][place], sizes, columns["orientation"], tf.zeros_like(index), index
    )
    for i in range(5):
        np.testing.assert_array_equal(path.frame({name: column[i] for name, column in prepared.items()}), read[i])


@pytest.mark.parametrize("policy", [None, "imagenet"])
def test_every_stage_of_a_stream_costs_something(photos, policy):
    folder, manifest = photos(encoding="keep")
    found = drawn(folder, manifest, 20)
    frames = frames_of(policy and Policy(steps=read_steps(policy)))(manifest)
    path = sample.decoding(frames)
    costs = [
        *stages.read_stages(found, BRIEFLY, off_the_disk=True, once=False),
        *stages.decode_stages(found.columns, path, BRIEFLY, once=False),
        stages.batch_of_stream(found.columns, path, 8, BRIEFLY),
    ]
    assert [stage.name for stage in costs] == ["read", "parse", "decode", "resize", "batch"]
    assert all(stage.wall > 0 and stage.cpu > 0 for stage in costs)
    held = {stage.name: stage.once for stage in remedies.resident(found.columns, frames, 8, costs, BRIEFLY).stages}
    decoded_once = {"decode": True, "resize": True, "batch": False}
    assert held == {"read": True, "parse": True, **({} if policy else decoded_once)}


def test_the_forms_that_are_tried_suit_the_model_and_shrink_what_is_stored(photos):
    _, manifest = photos(encoding="keep")

    def forms(short_side, image_size, fit="stretch", policy=None, **changed):
        frames = frames_of(policy and Policy(steps=read_steps(policy)), image_size=image_size, fit=fit)
        found = remedies.conversions(frames(dataclasses.replace(manifest, **changed)), np.full(9, short_side))
        return [(form.encoding, form.resize.kind, form.resize.height) for form in found]

    assert forms(375, 224) == [("jpeg", "short", 256), ("raw", "exact", 224)]
    assert forms(375, 224, policy="imagenet") == [("jpeg", "short", 256), ("raw", "exact", 256)]
    assert forms(375, 224, fit="crop") == [("jpeg", "short", 256)]
    assert forms(256, 224) == [("raw", "exact", 224)]
    assert forms(28, 28, encoding="raw", image_shape=(28, 28)) == []
    assert forms(28, 64) == []


def test_a_conversion_is_tried_on_the_very_bytes_that_it_would_write(photos):
    folder, manifest = photos(encoding="keep")
    found = drawn(folder, manifest, 20)
    before = stages.read_stages(found, BRIEFLY, off_the_disk=False, once=False)
    form = Form(encoding="raw", resize=parse_resize("exact=16x16"), channels=3)
    remedy = remedies.converted(found, manifest, form, frames_of(), before, BRIEFLY)
    smaller = 16 * 16 * 3 / np.mean([len(image) for image in found.columns["image"].numpy()])
    read = next(stage for stage in remedy.stages if stage.name == "read")
    assert read.wall / before[0].wall == pytest.approx(smaller, rel=0.05)
    assert remedy.do.startswith("convert with --resize exact=16x16 --encoding raw")
    assert {stage.name for stage in remedy.stages} == {"read", "parse", "decode", "resize"}


def test_a_shortened_split_has_whole_shards_and_at_least_one(photos):
    _, manifest = photos(encoding="keep")
    shards = tuple(Shard(file=f"{i}", examples=10, bytes=1, sha256="") for i in range(5))
    split = Split(examples=50, examples_per_class=(20, 30), shards=shards)
    manifest = dataclasses.replace(manifest, splits={"train": split})
    for asked, held in ((0, 10), (10, 10), (11, 20), (1000, 50)):
        part = sample.shortened(manifest, "train", asked).splits["train"]
        assert part.examples == held == sum(part.examples_per_class)
        assert part.shards == shards[: held // 10]


def test_constant_batches_reach_every_replica():
    batch = synthetic_batch((4, 4, 1), examples=9, classes=2, batch_size=6, seed=0)
    mirrored = hardware.prepare(HardwareOptions(strategy="mirrored", replicas=2)).strategy
    for strategy in (tf.distribute.get_strategy(), mirrored):
        stage = stages.copy_stage(batch, strategy, BRIEFLY)
        assert stage.where == "copy" and stage.wall > 0
