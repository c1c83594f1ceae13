import os

import numpy as np
import pytest

from base.errors import InputError
from pipelines.sources import folder
from pipelines.sources.disk import list_folder
from pipelines.sources.source import Unreadable


def open_folder(root, class_names=(), label_pattern=""):
    return folder.open_folder(list_folder(root), class_names, label_pattern)


def _touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())
    return root


def _labelled(source):
    return {id: source.classes[label] for id, label in zip(source.ids, source.labels, strict=True)}


def test_class_folders_give_sorted_classes_and_images_at_any_depth(tmp_path):
    source = open_folder(_touch(tmp_path, "dogs/1.jpg", "cats/b/c/2.png", "cats/no suffix", "README.txt"))
    assert source.classes == ("cats", "dogs") and source.splits is None
    assert _labelled(source) == {"cats/b/c/2.png": "cats", "cats/no suffix": "cats", "dogs/1.jpg": "dogs"}
    assert source.read([2, 0]) == [b"dogs/1.jpg", b"cats/b/c/2.png"]


def test_split_folders_are_known_by_their_usual_names_in_any_case(tmp_path):
    source = open_folder(_touch(tmp_path, "Train/a/1", "Train/b/2", "VAL/a/3", "testing/b/4", "labels.csv"))
    assert {name: [source.ids[place] for place in places] for name, places in source.splits.items()} == {
        "train": ["Train/a/1", "Train/b/2"],
        "validation": ["VAL/a/3"],
        "test": ["testing/b/4"],
    }
    assert source.labels.tolist() == [0, 1, 0, 1] and source.labels.dtype == np.int64


def test_a_class_may_be_called_train_when_it_holds_images_and_no_folders(tmp_path):
    source = open_folder(_touch(tmp_path, "train/1.jpg", "bus/2.jpg"))
    assert source.classes == ("bus", "train") and source.splits is None


def test_hidden_files_and_litter_are_passed_over(tmp_path):
    litter = ("a/.DS_Store", "a/Thumbs.db", "__MACOSX/a/1.jpg", ".git/config", "b/desktop.ini", "b/.thumbs/x.jpg")
    assert open_folder(_touch(tmp_path, "a/1.jpg", "b/2.jpg", *litter)).ids == ["a/1.jpg", "b/2.jpg"]


def test_links_are_followed_and_loops_of_links_come_to_an_end(tmp_path):
    _touch(tmp_path, "elsewhere/3.jpg", "source/a/1.jpg", "source/b/2.jpg")
    (tmp_path / "source/a/loop").symlink_to(tmp_path / "source")
    (tmp_path / "source/a/self").symlink_to("self")
    (tmp_path / "source/a/gone").symlink_to("nowhere")
    (tmp_path / "source/a/other class").symlink_to("../b")
    (tmp_path / "source/b/more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "source/b/2 again.jpg").symlink_to("2.jpg")
    (tmp_path / "elsewhere/back").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "source/b/pipe")
    source = open_folder(tmp_path / "source")
    assert source.ids == ["a/1.jpg", "b/2 again.jpg", "b/2.jpg", "b/more/3.jpg"]
    assert source.read([1]) == [b"source/b/2.jpg"] and source.sizes.tolist() == [14, 14, 14, 15]
    assert {(problem.id, problem.reason.split(",")[0]) for problem in source.problems} == {
        ("a/loop", "a link to a folder that lies in SOURCE itself"),
        ("a/self", "Too many levels of symbolic links"),
        ("a/gone", "No such file or directory"),
        ("a/other class", "a link to a folder that lies in SOURCE itself"),
        ("b/more/back", "a link to a folder above it"),
        ("b/pipe", "no file"),
    }


def test_a_file_that_can_not_be_read_stands_unreadable_beside_those_that_can(tmp_path):
    source = open_folder(_touch(tmp_path, "a/1.jpg", "a/2.jpg", "b/3.jpg"))
    (tmp_path / "a/1.jpg").unlink()
    assert source.read([0, 1, 2]) == [Unreadable("No such file or directory"), b"a/2.jpg", b"b/3.jpg"]


def test_a_folder_that_can_not_be_read_is_refused(tmp_path, monkeypatch):
    def scandir(path):  # the tests may run as root, whom no permission stops
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return plain(path)

    plain = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(InputError, match=r"readable folder.*b/locked.*Permission denied"):
        open_folder(_touch(tmp_path, "a/1.jpg", "b/locked/2.jpg"))


def test_labels_may_stand_in_the_names_of_a_flat_folder(tmp_path):
    names = ("cat.1.jpg", "dog.1.jpg", "dog '2'\n<b>.png", "deep/cat.2.jpg", "README.txt")
    source = open_folder(_touch(tmp_path, *names), label_pattern=r"(cat|dog)[. ]")
    assert _labelled(source) == dict(zip(sorted(names[:4]), ["cat", "cat", "dog", "dog"], strict=True))
    assert [problem.id for problem in source.problems] == ["README.txt"] and source.splits is None
    whole = open_folder(tmp_path, label_pattern="cat|dog")
    assert whole.labels.tolist() == source.labels.tolist(), "without a group the whole match is the label"


def test_an_image_in_whose_name_no_label_is_found_is_named(tmp_path):
    _touch(tmp_path, "cat.1.jpg", "dog.1.jpg", "mouse.JPEG")
    with pytest.raises(InputError, match=r"--label-pattern.*file='mouse.JPEG'"):
        open_folder(tmp_path, label_pattern=r"(cat|dog)\.")


def test_flat_split_folders_are_splits_and_what_lies_beside_them_is_told(tmp_path):
    source = open_folder(
        _touch(tmp_path, "train/cat.1", "train/dog.1", "val/dog.2", "cat notes"), label_pattern="cat|dog"
    )
    assert {name: places.tolist() for name, places in source.splits.items()} == {"train": [0, 1], "validation": [2]}
    assert source.labels.tolist() == [0, 1, 1] and "'cat notes'" in source.notes[0]


def test_names_that_are_no_text_still_give_ids_that_are(tmp_path):
    _touch(tmp_path, "a/1.jpg")
    (tmp_path / "b").mkdir()
    with open(bytes(tmp_path / "b") + b"/\xff \n.jpg", "wb") as file:
        file.write(b"pixels")
    source = open_folder(tmp_path)
    assert source.ids[1] == "b/\\xff \n.jpg" and source.read([1]) == [b"pixels"]


def test_class_names_choose_the_order_of_the_classes(tmp_path):
    source = open_folder(_touch(tmp_path, "a/1", "b/2"), ("b", "a"))
    assert _labelled(source) == {"a/1": "a", "b/2": "b"} and source.classes == ("b", "a")


@pytest.mark.parametrize(
    ("files", "named"),
    [
        (["cat.1.jpg", "dog.1.jpg"], "folders=0, files=2"),
        (["a/1.jpg"], r"classes=\['a'\]"),
        (["a/1.jpg", "b/.hidden"], "b', images=0"),
        (["a/1.jpg", "b/2.jpg", "lost.JPG"], "lost.JPG"),
        (["train/a/1", "train/b/2", "train/lost.png"], "train/lost.png"),
        (["train/a/1", "train/b/2", "lost.png"], "lost.png"),
        (["train/a/1", "train/b/2", "extra/a/3"], "extra"),
        (["train/a/1", "train/b/2", "val/a/3", "valid/a/4"], "valid"),
        (["train/a/1", "train/b/2", "test/c/3"], r"in test only classes that train has.*'c'.*test/c/3"),
        (["train/a/1", "train/b/2", "test/3.jpg"], "test', folders=0, files=1"),
        (["val/a/1", "val/b/2", "test/a/3"], "a folder train"),
        (["train/1.jpg", "test/2.jpg"], "a folder train"),
    ],
)
def test_a_folder_that_would_lose_or_mix_up_images_is_refused(tmp_path, files, named):
    with pytest.raises(InputError, match=named):
        open_folder(_touch(tmp_path, *files))


def test_class_names_that_are_no_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"--class-names.*differing=\['b', 'c'\]"):
        open_folder(_touch(tmp_path, "a/1", "b/2"), ("a", "c"))
