import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from base.command import BAD_INPUT, SUCCESS, TERMINATED
from pipelines.manifest import read_manifest
from scripts import build_tfrecords

SCRIPT = pathlib.Path(build_tfrecords.__file__)


def _png(value):
    return tf.io.encode_png(np.full((4, 6, 3), value, np.uint8)).numpy()


@pytest.fixture
def photos(tmp_path):
    """Two classes of ten images each."""
    for place, name in enumerate(("cats", "dogs")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(10):
            (tmp_path / "photos" / name / f"{number}.png").write_bytes(_png(number + 10 * place))
    return tmp_path / "photos"


def _build(*arguments):
    return build_tfrecords.main([str(argument) for argument in arguments])


def _refused(capsys, out, named, *arguments):
    """Whether the command says in one line what is wrong, and leaves everything as it was."""
    before = sorted(out.parent.rglob("*"))
    assert _build(*arguments, "--out", out) == BAD_INPUT
    error = capsys.readouterr().err
    assert error.startswith("error: Expected") and error.count("\n") == 1, error
    assert all(text in error for text in named), error
    assert sorted(out.parent.rglob("*")) == before


def test_a_folder_of_photos_becomes_a_dataset_and_the_numbers_add_up(tmp_path, photos, capsys):
    assert _build(photos, "--out", tmp_path / "set") == SUCCESS
    shown = capsys.readouterr().out
    assert "20 images found, 20 converted" in shown and "cats 8, dogs 8" in shown
    manifest = read_manifest(tmp_path / "set")
    assert {name: split.examples for name, split in manifest.splits.items()} == {
        "train": 16,
        "validation": 2,
        "test": 2,
    }
    assert manifest.classes == ("cats", "dogs")
    assert manifest.made_by == {
        "source": str(photos),
        "seed": 0,
        "hold_out": {"validation": 0.1},
        "value_range": "auto",
        "class_names": [],
        "encoding": "keep",
        "resize": None,
        "quality": None,
        "channels": None,
        "check": "decode",
        "on_error": "skip",
        "max_pixels": 100_000_000,
    }


def test_the_same_command_again_reports_its_result_and_does_nothing(tmp_path, photos, capsys, monkeypatch):
    out = tmp_path / "set"
    _build(photos, "--out", out, "--quiet")
    stamps = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    capsys.readouterr()
    monkeypatch.chdir(tmp_path)
    assert _build("photos", "--out", out, "--hold-out", "validation=.10") == SUCCESS
    assert "already there" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == stamps
    _refused(capsys, out, ["seed", "0", "1", "--overwrite"], photos, "--seed", 1)
    next(out.glob("*-train.tfrecord*")).unlink()
    _refused(capsys, out, ["set-train.tfrecord", "--overwrite"], photos)


def test_overwrite_replaces_a_dataset_and_nothing_else(tmp_path, photos, capsys):
    out = tmp_path / "set"
    _build(photos, "--out", out)
    assert _build(photos, "--out", out, "--seed", 1, "--overwrite") == SUCCESS
    assert read_manifest(out).made_by["seed"] == 1
    (out / "notes.txt").write_text("mine")
    _refused(capsys, out, ["notes.txt"], photos, "--overwrite")
    (out / "notes.txt").unlink()
    (out / "manifest.json").unlink()
    _refused(capsys, out, ["set", "new or empty folder"], photos, "--overwrite")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "set"]


def test_the_source_and_the_folders_above_and_inside_it_are_never_replaced(tmp_path, photos, capsys):
    (tmp_path / "link").symlink_to(photos)
    for out in (photos, photos / "set", photos / "cats", tmp_path, tmp_path / "link", tmp_path / "link/set"):
        for overwrite in ([], ["--overwrite"]):
            _refused(capsys, out, ["apart from SOURCE", str(photos)], photos, *overwrite)


def test_a_termination_signal_before_anything_is_finished_ends_it_with_143_and_leaves_nothing(
    tmp_path, photos, monkeypatch
):
    def stop(images, *, shown):
        return _Stopping()

    class _Stopping:
        def __enter__(self):
            return lambda images, bytes: signal.raise_signal(signal.SIGTERM)

        def __exit__(self, *error):
            return False

    monkeypatch.setattr(build_tfrecords, "progress_bar", stop)
    assert _build(photos, "--out", tmp_path / "set") == TERMINATED
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--hold-out", "validation=1"], ["--hold-out"]),
        (["--hold-out", "test=0.1"], ["--hold-out"]),
        (["--hold-out", "0.1"], ["--hold-out"]),
        (["--hold-out", "validation=nan"], ["--hold-out"]),
        (["--seed", "-1"], ["--seed"]),
        (["--seeed", "1"], ["--seeed", "--seed"]),
        (["--value-range", "0-2"], ["--value-range"]),
        (["--value-range", "0-1"], ["--value-range", "image files"]),
        (["--encoding", "webp"], ["--encoding"]),
        (["--resize", "short=256"], ["--resize", "--encoding"]),
        (["--resize", "256", "--encoding", "png"], ["--resize", "short=256"]),
        (["--encoding", "raw", "--resize", "short=64"], ["--encoding raw", "exact="]),
        (["--quality", "80"], ["--quality", "--encoding jpeg"]),
        (["--channels", "2"], ["--channels"]),
        (["--workers", "0"], ["--workers"]),
        (["--max-pixels", "0"], ["--max-pixels"]),
        (["--class-names", "cats", "cats"], ["--class-names", "cats"]),
        (["--class-names", "cats", "mice"], ["--class-names", "dogs", "mice"]),
    ],
)
def test_a_bad_option_is_named(tmp_path, photos, capsys, options, named):
    _refused(capsys, tmp_path / "set", named, photos, *options)


def _spoil(photos, path, content):
    (photos / path).parent.mkdir(exist_ok=True)
    (photos / path).write_bytes(content)


@pytest.mark.parametrize(
    ("path", "content", "reason"),
    [
        ("cats/x.jpg", b"This is a text.", "begins with"),
        ("cats/x.jpg", b"", "empty"),
        ("dogs/cut.png", _png(3)[:-20], "broken PNG"),
        ("dogs/cut.jpg", tf.io.encode_jpeg(np.zeros((40, 40, 3), np.uint8)).numpy()[:-60], "broken JPEG"),
        ("dogs/two\nlines.png", b"no image", "two\\nlines"),
    ],
)
def test_a_file_that_is_no_whole_image_is_named(tmp_path, photos, capsys, path, content, reason):
    _spoil(photos, path, content)
    name = repr(path)[1:-1].split("/")[-1]
    _refused(capsys, tmp_path / "set", [name, reason], photos, "--on-error", "fail")
    assert _build(photos, "--out", tmp_path / "set") == SUCCESS
    shown = capsys.readouterr().out
    assert name in shown and reason in shown and "21 images found, 20 converted, 1 skipped" in shown


def test_an_image_that_belongs_to_no_class_is_refused(tmp_path, photos, capsys):
    _spoil(photos, "x.jpg", _png(0))
    _refused(capsys, tmp_path / "set", ["x.jpg", "inside a class folder"], photos)


def test_a_dataset_can_be_verified_and_a_damaged_one_is_refused(tmp_path, photos, capsys):
    _build(photos, "--out", tmp_path / "set")
    capsys.readouterr()
    assert _build("--verify", tmp_path / "set", "--workers", 2) == SUCCESS
    assert "20 records, every one whole" in capsys.readouterr().out
    shard = next((tmp_path / "set").glob("*-train.tfrecord*"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    assert _build(f"--verify={tmp_path / 'set'}") == BAD_INPUT
    error = capsys.readouterr().err
    assert error.startswith("error: Expected record") and shard.name in error and error.count("\n") == 1
    assert _build("--verify", tmp_path / "nothing") == BAD_INPUT


def test_a_source_that_holds_no_labelled_images_is_refused(tmp_path, photos, capsys):
    out = tmp_path / "set"
    _refused(capsys, out, ["absent"], tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    _refused(capsys, out, ["empty", "class folders"], tmp_path / "empty")
    (tmp_path / "table.csv").write_text("image,label")
    _refused(capsys, out, ["table.csv"], tmp_path / "table.csv")
    (photos / "empty class").mkdir()
    _refused(capsys, out, ["empty class"], photos)


def test_bad_arrays_are_refused_with_their_name_and_index(tmp_path, capsys):
    x, y = np.random.default_rng(0).random((20, 4, 4)), np.arange(20) % 2
    bad = x.copy()
    bad[7, 0, 0] = np.nan
    np.savez(tmp_path / "nan.npz", x=bad, y=y)
    _refused(capsys, tmp_path / "set", ["x[7]", "nan"], tmp_path / "nan.npz")
    np.savez(tmp_path / "good.npz", x=x, y=y + 1)
    _refused(capsys, tmp_path / "set", ["y[1]", "label=2"], tmp_path / "good.npz", "--class-names", "a", "b")
    _refused(capsys, tmp_path / "set", ["training example", "'c'"], tmp_path / "good.npz", "--class-names", *"xabc")
    np.savez(tmp_path / "one.npz", x=x, y=y * 0)
    _refused(capsys, tmp_path / "set", ["two classes"], tmp_path / "one.npz")


def test_help_and_refusals_come_without_tensorflow():
    for arguments, code in (
        (["--help"], 0),
        (["digits", "--out", "/dev/null/set"], 2),
        (["/nowhere", "--out", "x"], 2),
    ):
        program = f"""if True:
            import sys
            from scripts.build_tfrecords import main
            code = main({arguments})
            print("tensorflow" in sys.modules, code)"""
        shown = subprocess.run([sys.executable, "-c", program], cwd=SCRIPT.parents[1], capture_output=True, text=True)
        assert shown.stdout.splitlines()[-1] == f"False {code}", shown.stdout + shown.stderr


def test_an_out_that_can_hold_no_folder_is_refused_before_any_work(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to("loop")
    for out in ("file", "file/set", "loop", "loop/set", "x" * 300):
        _refused(capsys, tmp_path / out, ["--out", out[:200]], "digits")
    _refused(capsys, pathlib.Path("/proc/sys/net/set"), ["--out"], "digits")
