import gzip
import struct

import numpy as np
import pytest

from base.errors import InputError
from pipelines.sources.arrays import from_arrays, open_idx, open_npz
from pipelines.sources.digits import open_digits
from pipelines.sources.open import open_source
from pipelines.sources.options import SourceOptions

RANDOM = np.random.default_rng(3)
PIXELS = RANDOM.integers(0, 256, (6, 4, 5, 3), np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def _npz(tmp_path, **arrays):
    np.savez(tmp_path / "set.npz", **arrays)
    return tmp_path / "set.npz"


def _one(images, labels=LABELS, **options):
    return from_arrays("set", {None: ("x", images, "y", labels)}, **options)


def test_uint8_arrays_come_out_as_they_went_in(tmp_path):
    source = open_npz(
        _npz(tmp_path, x_train=PIXELS[:4], y_train=LABELS[:4], x_test=PIXELS[4:], y_test=LABELS[4:]), (), "auto"
    )
    assert list(source.splits) == ["train", "test"] and source.classes == ("0", "1", "2") and not source.notes
    assert source.ids[3:5] == ["x_train[3]", "x_test[0]"] and source.labels.tolist() == LABELS.tolist()
    assert np.array_equal(source.read([3, 1]), PIXELS[[3, 1]]) and np.array_equal(source.read([5]), PIXELS[5:])


@pytest.mark.parametrize(
    "keys",
    [
        ("X", "Y"),
        ("images", "labels"),
        ("train_images", "train_labels"),
        ("x_train", "y_train"),
    ],
)
def test_arrays_go_by_their_usual_names(tmp_path, keys):
    source = open_npz(_npz(tmp_path, **{keys[0]: PIXELS[..., 0], keys[1]: LABELS[:, None], "fold": LABELS}), (), "auto")
    assert np.array_equal(source.read([0, 5]), PIXELS[[0, 5], ..., :1])
    assert source.notes == ("arrays left aside: fold",)


def test_classes_in_the_file_name_the_labels_and_the_command_line_names_them_before(tmp_path):
    path = _npz(tmp_path, x=PIXELS, y=LABELS, classes=np.array(["cat", "dog", "eel"]))
    assert open_npz(path, (), "auto").classes == ("cat", "dog", "eel")
    assert open_npz(path, ("C", "D", "E"), "auto").classes == ("C", "D", "E")


def test_labels_may_be_strings_or_numbers_with_gaps():
    strings = _one(PIXELS, np.array(["eel", "cat", "eel", "cat", "cat", "dog"]))
    assert strings.classes == ("cat", "dog", "eel") and strings.labels.tolist() == [2, 0, 2, 0, 0, 1]
    gaps = _one(PIXELS, np.array([10, 2, 10, 2, 7, 7], np.uint16))
    assert gaps.classes == ("2", "7", "10") and gaps.labels.tolist() == [2, 0, 2, 0, 1, 1]
    ordered = _one(PIXELS, np.array([b"a", b"b", b"c"] * 2), class_names=("c", "a", "b"))
    assert ordered.labels.tolist() == [1, 2, 0] * 2


@pytest.mark.parametrize(
    ("values", "value_range", "expected", "note"),
    [
        (np.array([0, 0.25, 0.5, 1], np.float32), "auto", [0, 64, 128, 255], "0-1"),
        (np.array([0, 3.4, 3.6, 254.9], np.float64), "auto", [0, 3, 4, 255], "0-255"),
        (np.array([0, 257, 32768, 65535], np.uint16), "auto", [0, 1, 128, 255], "0-65535"),
        (np.array([False, True, True, False]), "auto", [0, 255, 255, 0], "0-1"),
        (np.array([0, 1, 1, 0], np.int64), "0-255", [0, 1, 1, 0], None),
        (np.array([0, 1, 1, 0], np.uint8), "0-1", [0, 255, 255, 0], None),
        (np.array([0, 1, 1, 0], np.uint8), "auto", [0, 1, 1, 0], None),
        (np.array([0, 255, 510, 2570], np.float16), "0-65535", [0, 1, 2, 10], None),
    ],
)
def test_values_become_uint8_by_their_range(values, value_range, expected, note):
    source = _one(values.reshape(2, 2, 1), np.array([0, 1]), value_range=value_range)
    assert source.read([0, 1]).ravel().tolist() == expected
    assert [text.split(":")[0] for text in source.notes] == ([f"values detected as {note}"] if note else [])


def test_the_range_is_detected_over_all_splits_together():
    dark = np.full((2, 3, 3), 0.5)
    bright = np.full((2, 3, 3), 200.0)
    parts = {"train": ("x_train", dark, "y_train", LABELS[:2]), "test": ("x_test", bright, "y_test", LABELS[:2])}
    source = from_arrays("set", parts)
    assert source.read([0]).max() == 0 and source.read([2]).min() == 200


def test_idx_files_are_read_gzipped_or_not_with_t10k_as_test(tmp_path):
    def idx(array, code=8):
        return struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape) + array.tobytes()

    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(PIXELS[..., 0])))
    (tmp_path / "train-labels.idx1-ubyte").write_bytes(idx(LABELS.astype(np.uint8)))
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(PIXELS[..., 1].astype(">i2"), 0x0B))
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(b"passed over: unpacked already")
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(LABELS.astype(np.uint8)))
    source = open_source(SourceOptions(source=str(tmp_path)))
    assert source.ids[0] == "train-images-idx3-ubyte[0]" and len(source.splits["test"]) == 6
    assert np.array_equal(source.read([0]), PIXELS[:1, ..., :1]) and np.array_equal(
        source.read([7]), PIXELS[1:2, ..., 1:2]
    )

    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(PIXELS[..., 1])[:-1])
    with pytest.raises(InputError, match=r"Expected 136 bytes.*t10k-images-idx3-ubyte', bytes=135"):
        open_idx(tmp_path, (), "auto")
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(gzip.compress(idx(PIXELS[..., 1]))[:-9])
    with pytest.raises(InputError, match="t10k-images-idx3-ubyte"):
        open_idx(tmp_path, (), "auto")


def test_the_embedded_digits_use_the_whole_range_of_uint8():
    source = open_digits()
    pixels = source.read(range(1797))
    assert pixels.shape == (1797, 8, 8, 1) and (pixels.min(), pixels.max()) == (0, 255)
    assert source.classes == tuple("0123456789") and source.splits is None


def _with(value, array=PIXELS / 255.0):
    changed = array.copy()
    changed[4, 1, 2] = value
    return changed


@pytest.mark.parametrize(
    ("arrays", "value_range", "named"),
    [
        ({"x": _with(np.nan), "y": LABELS}, "auto", r"finite.*x\[4\].*nan"),
        ({"x": _with(np.inf), "y": LABELS}, "0-1", r"finite.*x\[4\].*inf"),
        ({"x": _with(-0.1), "y": LABELS}, "auto", r"values of 0-1 in x.*x\[4\]'.*-0.1"),
        ({"x": _with(1.5), "y": LABELS}, "0-1", r"values of 0-1 in x.*x\[4\]'.*1.5"),
        ({"x": _with(70000.0), "y": LABELS}, "auto", r"values of 0-65535 in x.*x\[4\]"),
        ({"x": PIXELS, "y": LABELS[:5]}, "auto", r"as many labels in y as images in x.*\(6, .*\(5,\)"),
        ({"x": PIXELS, "y": np.int64(3)}, "auto", "as many labels"),
        ({"x": PIXELS}, "auto", r"only='x'.*labels.*missing"),
        ({"x_train": PIXELS, "y_train": LABELS, "x_test": PIXELS}, "auto", r"only='x_test'"),
        ({"x_test": PIXELS, "y_test": LABELS}, "auto", "such as x_train"),
        ({"x": PIXELS, "y": LABELS, "x_train": PIXELS, "y_train": LABELS}, "auto", "such as x_train"),
        ({"x": PIXELS, "images": PIXELS, "y": LABELS}, "auto", r"\['images', 'x'\]"),
        ({"data": PIXELS}, "auto", r"arrays=\['data'\]"),
        ({"x": PIXELS[..., :2], "y": LABELS}, "auto", r"C 1 or 3, in x.*\(6, 4, 5, 2\)"),
        ({"x": PIXELS.transpose(0, 3, 1, 2), "y": LABELS}, "auto", r"transpose\(0, 2, 3, 1\)"),
        ({"x": PIXELS[:0], "y": LABELS[:0]}, "auto", r"\(0, 4, 5, 3\)"),
        ({"x": PIXELS, "y": np.eye(6)}, "auto", r"in y.*\(6, 6\).*argmax"),
        ({"x": PIXELS, "y": LABELS / 2}, "auto", r"whole numbers or strings as labels in y.*float64"),
        ({"x": PIXELS, "y": LABELS, "classes": np.array(["a", "b"])}, "auto", r"y\[2\]', label=2"),
        ({"x": PIXELS, "y": -LABELS, "classes": np.array(["a", "b", "c"])}, "auto", r"y\[1\]', label=-1"),
        ({"x_train": PIXELS, "y_train": LABELS, "x_val": PIXELS, "y_val": LABELS + 1}, "auto", r"y_val\[2\]', label=3"),
        ({"x": np.array([{}] * 6), "y": LABELS}, "auto", "pickled objects.*runs code"),
        ({"x": PIXELS + 0j, "y": LABELS}, "auto", "numbers in x.*complex"),
    ],
)
def test_arrays_that_are_no_labelled_images_are_refused_by_name_and_index(tmp_path, arrays, value_range, named):
    with pytest.raises(InputError, match=named):
        open_npz(_npz(tmp_path, **arrays), (), value_range)
