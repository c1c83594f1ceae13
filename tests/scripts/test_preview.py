"""The preview command on a small data set; pictures are read back, and their pixels compared."""

import numpy as np
import pytest
import tensorflow as tf
import yaml
from PIL import Image

from scripts import build_tfrecords, preview, train

NAMES = ("red", "green", "blue")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A class is a colour on the left half; the right half is black."""
    folder = tmp_path_factory.mktemp("colours")
    for channel, name in enumerate(NAMES):
        (folder / "source" / name).mkdir(parents=True)
        for number in range(10):
            image = np.zeros((12, 12, 3), np.uint8)
            image[:, :6, channel] = 200 + number
            (folder / "source" / name / f"{number}.png").write_bytes(tf.io.encode_png(image).numpy())
    assert build_tfrecords.main([str(folder / "source"), "--out", str(folder / "data"), "--quiet"]) == 0
    return str(folder / "data")


def recipe(folder, **options):
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({"epochs": 3, "evaluate_on": "validation", "learning_rate": 0.1, **options}))
    return str(path)


def pictures(path):
    """The pictures' pixels in the figure, a list a row: each a block of red, green, blue or black that is not text."""
    image = np.array(Image.open(path).convert("RGB")).astype(int)
    drawn = (image.max(axis=2) - image.min(axis=2) > 100) | (image.max(axis=2) < 5)
    rows = _runs(drawn.mean(axis=1) > 0.15)
    return [
        [image[top:bottom, left:right] for left, right in _runs(drawn[top:bottom].all(axis=0))] for top, bottom in rows
    ]


def _runs(flags):
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return [(start + 1, end - 1) for start, end in edges.reshape(-1, 2) if end - start > 20]


def test_originals_stand_above_what_became_of_them_in_rows_of_eight(data, tmp_path, capsys):
    out = tmp_path / "preview.png"
    argv = ["--data", data, "--config", recipe(tmp_path, horizontal_flip=True), "--out", str(out), "--count", "11"]
    assert preview.main(argv) == 0
    printed = capsys.readouterr()
    assert printed.out == f"augmentation: flip\n11 images of train: {out}\n" and printed.err == ""
    rows = pictures(out)
    assert [len(row) for row in rows] == [8, 8, 3, 3]
    above, below = rows[0] + rows[2], rows[1] + rows[3]
    flipped = 0
    for original, augmented in zip(above, below, strict=True):
        channel = original.max(axis=(0, 1)).argmax()
        assert original[:, 5, channel].min() >= 200 and original[:, -5].max() < 5
        side = augmented[:, :, channel].mean(axis=0)
        flipped += side[-5] > side[5]
        assert sorted([side[5] >= 200, side[-5] >= 200]) == [False, True]
    assert 0 < flipped < 11


def test_a_seed_gives_the_same_picture_and_another_seed_another(data, tmp_path):
    out = tmp_path / "preview.png"
    contents = []
    for seed in ("1", "1", "2"):
        argv = ["--data", data, "--augment", "light", "--out", str(out), "--seed", seed, "--split", "validation"]
        assert preview.main([*argv, "--count", "2"]) == 0
        contents.append(out.read_bytes())
    assert contents[0] == contents[1] != contents[2]
    assert [entry.name for entry in tmp_path.iterdir()] == ["preview.png"]


def test_the_options_of_a_finished_run_are_a_recipe(data, tmp_path):
    run = tmp_path / "run"
    argv = ["--data", data, "--run", str(run), "--epochs", "1", "--blocks", "1", "--filters", "2", "--augment", "light"]
    assert train.main(argv) == 0
    assert preview.main(["--config", str(run / "config.yaml"), "--out", str(tmp_path / "p.png"), "--count", "1"]) == 0


def test_mixed_examples_are_shown_with_the_shares_of_their_labels(data, tmp_path, monkeypatch):
    titles = []
    named = preview._named
    monkeypatch.setattr(preview, "_named", lambda *given: titles.append(named(*given)) or titles[-1])
    config = recipe(tmp_path, augment=[{"mixup": {"alpha": 50}}])
    assert preview.main(["--data", data, "--config", config, "--out", str(tmp_path / "p.png"), "--count", "8"]) == 0
    above, below = titles[::2], titles[1::2]
    mixed = 0
    for i, (own, text) in enumerate(zip(above, below, strict=True)):
        shares = {name: float(share) for name, share in (line.split() for line in text.split("\n"))}
        assert set(shares) == {own, above[i ^ 1]} and sum(shares.values()) == pytest.approx(1, abs=0.011)
        mixed += len(shares) == 2 and min(shares.values()) > 0.2
    assert mixed >= 2


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--out", "preview.jpg"], "--out"),
        (["--out", "nowhere/preview.png"], "--out"),
        (["--count", "0"], "--count"),
        (["--split", "held_back"], "held_back"),
        (["--augment", "lihgt"], "light"),
        (["--zoom-range", "[2, 1]"], "--zoom-range"),
        (["--augment", "light", "--horizontal-flip"], "--augment"),
        (["--data", "nowhere"], "build_tfrecords.py"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--counts", "3"], "--count"),
    ],
)
def test_bad_options_are_one_line_and_leave_nothing(data, tmp_path, capsys, monkeypatch, arguments, named):
    monkeypatch.chdir(tmp_path)
    assert preview.main(["--data", data, "--out", "preview.png", *arguments]) == 2
    error = capsys.readouterr().err
    assert named in error and error.count("\n") == 1 and "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_a_picture_that_is_interrupted_leaves_the_one_before(data, tmp_path, monkeypatch):
    out = tmp_path / "preview.png"
    out.write_bytes(b"before")

    def interrupted(path, *_):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(preview, "_draw", interrupted)
    assert preview.main(["--data", data, "--out", str(out)]) == 130
    assert out.read_bytes() == b"before" and list(tmp_path.iterdir()) == [out]
