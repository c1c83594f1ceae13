import numpy as np
import pytest

from base.errors import InputError
from pipelines.sources.folder import open_folder


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
    (tmp_path / "source/b/more").symlink_to(tmp_path / "elsewhere")
    source = open_folder(tmp_path / "source")
    assert {"a/1.jpg", "b/2.jpg", "b/more/3.jpg", "a/self"} <= set(source.ids)
    assert len(source.ids) == len(set(source.ids)) < 10
    with pytest.raises(InputError, match=r"readable image.*a/self"):
        source.read([list(source.ids).index("a/self")])


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
        (["train/a/1", "train/b/2", "extra/a/3"], "extra"),
        (["train/a/1", "train/b/2", "val/a/3", "valid/a/4"], "valid"),
        (["train/a/1", "train/b/2", "test/c/3"], r"in test only classes that train has.*'c'"),
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
