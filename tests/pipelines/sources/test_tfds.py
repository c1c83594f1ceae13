import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from base.errors import InputError
from pipelines.conversion.plan import plan_splits
from pipelines.sources.open import open_source
from pipelines.sources.options import SourceOptions

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), np.uint8)


class TinyPhotos(tfds.core.GeneratorBasedBuilder):
    """Six images that lie on no disk."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name, version="1.0.0") for name in ("files", "pixels")]

    def _info(self):
        raw = self.builder_config.name == "pixels"
        image = tfds.features.Tensor(shape=(5, 4, 3), dtype=np.uint8, encoding="bytes")
        features = {
            "photo": image if raw else tfds.features.Image(shape=(None, None, 3)),
            "small": tfds.features.Image(shape=(None, None, 1)),
            "kind": tfds.features.ClassLabel(names=["zebra", "ant"]),
            "size": np.int64,
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features), supervised_keys=("photo", "kind")
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(range(4)), "test": self._generate_examples(range(4, 6))}

    def _generate_examples(self, numbers):
        for n in numbers:
            small = np.zeros((1, 1, 1), np.uint8)
            yield n, {"photo": PIXELS[n], "small": small, "kind": "zebra" if n % 2 else "ant", "size": n}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Both configurations, prepared, by name."""
    folder = tmp_path_factory.mktemp("tfds")
    builders = {name: TinyPhotos(data_dir=folder, config=name) for name in ("files", "pixels")}
    for builder in builders.values():
        builder.download_and_prepare()
    return {name: builder.data_path for name, builder in builders.items()}


def _classes_by_pixels(source, decode):
    return {
        decode(image).tobytes(): source.classes[label]
        for image, label in zip(source.read(range(len(source.ids))), source.labels, strict=True)
    }


EXPECTED = {PIXELS[n].tobytes(): "zebra" if n % 2 else "ant" for n in range(6)}


def test_a_prepared_folder_gives_the_files_as_they_are_with_classes_and_splits(prepared):
    source = open_source(SourceOptions(source=str(prepared["files"])))
    assert source.classes == ("zebra", "ant"), "in the order of their numbers"
    assert {name: len(places) for name, places in source.splits.items()} == {"train": 4, "test": 2}
    assert all(image.startswith(b"\x89PNG") for image in source.read([0, 5]))
    assert _classes_by_pixels(source, lambda image: tf.io.decode_png(image).numpy()) == EXPECTED
    assert source.ids[0] == "tiny_photos-train.tfrecord-00000-of-00001[0]" and source.problems == ()


def test_raw_pixels_come_as_arrays(prepared):
    source = open_source(SourceOptions(source=str(prepared["pixels"])))
    assert source.read([3])[0].shape == (5, 4, 3)
    assert _classes_by_pixels(source, np.asarray) == EXPECTED


def test_a_set_is_found_by_its_name_where_tfds_keeps_its_data(prepared, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared["files"].parents[2]))
    source = open_source(SourceOptions(source="tfds:tiny_photos/files:1.0.0"))
    assert len(source.ids) == 6 and source.splits.keys() == {"train", "test"}


def test_keys_choose_among_features_and_unfit_ones_are_refused(prepared):
    path = str(prepared["files"])
    small = open_source(
        SourceOptions(source=path, image_key="small", label_key="size", merge_splits=True, split="train=1")
    )
    assert small.classes[:4] == ("0", "1", "2", "3") and tf.io.decode_png(small.read([0])[0]).shape == (1, 1, 1)
    for options, named in (
        ({"image_key": "kind"}, r"feature that is an image.*feature='kind', fitting=\['photo', 'small'\].*--image-key"),
        ({"label_key": "absent"}, r"a class label.*fitting=\['kind', 'size'\].*--label-key"),
        ({"value_range": "0-1"}, "--value-range only"),
    ):
        with pytest.raises(InputError, match=named):
            open_source(SourceOptions(source=path, **options))


def test_a_name_that_tfds_does_not_know_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="Expected a set that TFDS knows.*tfds:mnits.*Did you mean 'mnist'"):
        open_source(SourceOptions(source="tfds:mnits"))


def test_a_split_without_labels_is_counted_and_left_aside(tmp_path):
    kinds = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(num_classes=2)}
    for split, labels in (("train", [0, 1, 1]), ("test", [-1, -1])):
        with tf.io.TFRecordWriter(str(tmp_path / f"some-{split}.tfrecord-00000-of-00001")) as writer:
            for label in labels:
                example = tf.train.Example()
                example.features.feature["image"].bytes_list.value.append(tf.io.encode_png(PIXELS[0]).numpy())
                example.features.feature["label"].int64_list.value.append(label)
                writer.write(example.SerializeToString())
    tfds.folder_dataset.write_metadata(
        data_dir=tmp_path,
        features=tfds.features.FeaturesDict(kinds),
        filename_template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
        version="1.0.0",
    )
    source = open_source(SourceOptions(source=str(tmp_path)))
    assert list(source.splits) == ["train"] and len(source.problems) == 2 and "-1" in source.problems[0].reason
    assert list(plan_splits(source, SourceOptions(source="x", hold_out="0")).splits) == ["train"]
