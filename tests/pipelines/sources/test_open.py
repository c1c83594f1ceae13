import gzip
import pickle

import numpy as np
import pytest

from base.errors import InputError
from pipelines.conversion.plan import plan_splits
from pipelines.sources.open import open_source
from pipelines.sources.options import SourceOptions

PIXELS = np.random.default_rng(3).integers(0, 256, (6, 4, 5, 3), np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def _open(path, **options):
    return open_source(SourceOptions(source=str(path), **options))


@pytest.mark.parametrize(
    ("images", "labels"), [("images", "labels"), ("x_train", "y_train"), ("train_images", "train_labels"), ("X", "Y")]
)
def test_a_folder_of_npy_files_is_a_source_and_stays_on_disk(tmp_path, images, labels):
    np.save(tmp_path / f"{images}.npy", PIXELS / 255)
    np.save(tmp_path / f"{labels}.npy", LABELS)
    (tmp_path / "notes.txt").write_text("by hand")
    source = _open(tmp_path, class_names=("a", "b", "c"))
    assert np.array_equal(source.read([5, 0]), PIXELS[[5, 0]]) and source.ids[5] == f"{images}[5]"
    assert source.labels.tolist() == LABELS.tolist() and "0-1" in source.notes[-1]


def test_merged_arrays_of_different_shapes_are_read_image_by_image(tmp_path):
    small = PIXELS[:, :2, :2]
    np.savez(tmp_path / "set.npz", x_train=PIXELS, y_train=LABELS, x_test=small, y_test=LABELS)
    source = _open(tmp_path / "set.npz")
    first, second = source.read([7, 2])
    assert np.array_equal(first, small[1]) and np.array_equal(second, PIXELS[2])
    options = SourceOptions(source="set.npz", merge_splits=True, split="all_of_it=1")
    assert sorted(plan_splits(source, options).splits["all_of_it"]) == list(range(12))


def test_pickles_are_refused_with_the_reason_before_any_of_their_code_runs(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    trap = pickle.dumps(Trap(), protocol=2)
    for name in ("cifar-10-batches-py/data_batch_1", "cifar-100-python/train", "other/set.pkl"):
        path = tmp_path / name
        path.parent.mkdir()
        path.write_bytes(trap)
        for source in (path, path.parent):
            with pytest.raises(InputError, match=r"no pickled file.*runs whatever code.*file='.*npz"):
                _open(source)
    np.save(tmp_path / "images.npy", np.array([Trap()]), allow_pickle=True)
    np.save(tmp_path / "labels.npy", LABELS)
    with pytest.raises(InputError, match=r"plain arrays.*images.npy.*pickled objects"):
        _open(tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_a_file_or_option_that_does_not_fit_is_named(tmp_path):
    np.save(tmp_path / "x.npy", PIXELS)
    (tmp_path / "set.csv.gz").write_bytes(gzip.compress(b"image,label\n"))
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF\0")
    for name, options, named in (
        ("nothing", {}, "nothing at that path"),
        ("x.npy", {}, "folder of the .npy files"),
        ("set.csv.gz", {}, "compressed with gzip as a whole"),
        ("photo.jpg", {}, "none of them"),
        ("digits", {"value_range": "0-1"}, "--value-range only where SOURCE holds arrays"),
        ("digits", {"label_pattern": "x"}, "--label-pattern only where SOURCE is a folder or archive of images"),
        ("digits", {"label_column": "dx"}, "--label-column only where SOURCE is a table.*given='dx'"),
        ("digits", {"image_key": "x"}, "--image-key only where SOURCE holds TFRecords"),
    ):
        with pytest.raises(InputError, match=named):
            _open(name if name == "digits" else tmp_path / name, **options)
