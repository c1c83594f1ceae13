import zipfile

import pytest

from base.errors import InputError
from pipelines.conversion.plan import plan_splits
from pipelines.sources.open import open_source
from pipelines.sources.options import SourceOptions

NAMES = ("a.jpg", "b.jpg", "deep/c d.jpg", 'q"uote\nü<b>.jpg', "e.jpg", "f.jpg")


@pytest.fixture
def table(tmp_path):
    """Writes a table beside six files, and opens it."""
    for name in NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())

    def table(text, name="table.csv", encoding="utf-8", **options):
        (tmp_path / name).write_bytes(text.encode(encoding))
        return open_source(SourceOptions(source=str(tmp_path / name), **options))

    return table


def _rows(source):
    return {id: source.classes[label] for id, label in zip(source.ids, source.labels, strict=True)}


def _problems(source):
    return [(problem.id, problem.reason) for problem in source.problems]


PLAIN = "image,label\na.jpg,cat\nb.jpg,dog\n"


def test_rows_name_images_by_paths_relative_to_the_table(table):
    source = table(
        'image,label,note\na.jpg, cat ,\n"deep/c d.jpg",dog,"x, y"\n\n"q""uote\nü<b>.jpg",cat,\n./b.jpg,dog,'
    )
    assert _rows(source) == {"a.jpg": "cat", "deep/c d.jpg": "dog", 'q"uote\nü<b>.jpg': "cat", "b.jpg": "dog"}
    assert source.read([2, 0]) == ['q"uote\nü<b>.jpg'.encode(), b"a.jpg"] and source.sizes[0] == 5
    assert source.problems == () and source.splits is None and source.groups is None


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "~"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_any_delimiter_and_a_byte_order_mark_are_understood(table, delimiter, encoding):
    text = PLAIN.replace(",", delimiter).replace("\n", "\r\n")
    assert _rows(table(text, encoding=encoding, delimiter="~" if delimiter == "~" else "")) == {
        "a.jpg": "cat",
        "b.jpg": "dog",
    }


def test_images_may_be_named_by_id_and_lie_in_another_folder_or_an_archive(table, tmp_path):
    text = "id;dx\nc d;2\nx;10\nc d;2"
    options = {"image_column": "id", "label_column": "dx", "image_suffix": ".jpg"}
    source = table(text, images=str(tmp_path / "deep"), **options)
    assert source.ids == ["c d.jpg"] and source.read([0]) == [b"deep/c d.jpg"]
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.write(tmp_path / "deep/c d.jpg", "c d.jpg")
        archive.writestr("x.jpg", b"another")
    source = table(text, images=str(tmp_path / "in.zip"), **options)
    assert source.read([0, 1]) == [b"deep/c d.jpg", b"another"]
    assert source.classes == ("2", "10"), "numbers are sorted as numbers"


def test_what_rows_lack_repeat_or_contradict_is_named_and_every_row_is_counted(table):
    text = (
        "image,label\na.jpg,cat\nb.jpg,dog\nmissing.jpg,cat\na.jpg,cat\ne.jpg,cat\ne.jpg,dog\n"
        "f.jpg,\n,cat\nf.jpg\ndeep,dog\ne.jpg,cat\n./b.jpg,dog\n"
    )
    source = table(text)
    assert _rows(source) == {"a.jpg": "cat", "b.jpg": "dog"}
    two = "lines 6 and 7 give it two labels: 'cat', 'dog'"
    assert sorted(_problems(source)) == sorted(
        [
            ("missing.jpg", "line 4: No such file or directory"),
            ("a.jpg", "line 5 repeats line 2"),
            ("e.jpg", f"line 6: {two}"),
            ("e.jpg", f"line 7: {two}"),
            ("f.jpg", "line 8: no label"),
            ("line 9", "no image"),
            ("line 10", "1 cells, where the header has 2"),
            ("deep", "line 11: no file, but a folder, device, pipe or socket"),
            ("e.jpg", f"line 12: {two}"),
            ("b.jpg", "line 13 repeats line 3"),
        ]
    )
    assert len(source.ids) + len(source.problems) == text.count("\n") - 1


def test_split_and_group_columns_are_kept_and_a_row_without_a_group_is_one(table):
    text = "image,label,set,patient\na.jpg,x,Train,1\nb.jpg,y,train,1\ne.jpg,x,VAL,\nf.jpg,y,holdout,2\n"
    source = table(text, split_column="set", group_column="patient")
    assert {name: places.tolist() for name, places in source.splits.items()} == {
        "train": [0, 1],
        "validation": [2],
        "holdout": [3],
    }
    assert source.groups[:2] == ["1", "1"] and len(set(source.groups)) == 3
    assert source.notes == ("1 rows without a patient: each is a group of its own",)
    assert source.likely_groups is None
    assert _problems(table("image,label,set\na.jpg,x,train\nb.jpg,y,train\ne.jpg,x,", split_column="set")) == [
        ("e.jpg", "line 4: no split")
    ]
    moved = _problems(table(f"{text}a.jpg,x,test,1\n", split_column="set"))
    assert moved[0][1] == "line 2: lines 2 and 6 give it two splits: 'Train', 'test'" and len(moved) == 2


@pytest.mark.parametrize(
    ("header", "cells", "name"),
    [
        ("set,patient", ("u,1", "v,1", "w,", "u,2"), "patient"),
        ("series_uid,box_id", ("1,7", "2,7", "3,8", "4,"), "box_id"),  # every row has a series of its own
        ("box_id,Lesion", ("1,a", "1,a", "2,b", "2,"), "Lesion"),
        ("class_id,valid", ("1,1", "1,1", "0,0", "0,"), None),
        ("lesion_id,n", ("1,", "2,", "3,", ","), None),
        ("lesion_id,n", ("1,", "1,", "1,", ","), None),
    ],
)
def test_a_column_that_looks_like_groups_is_found(table, header, cells, name):
    names = ("a.jpg", "b.jpg", "e.jpg", "f.jpg")
    rows = [f"{image},{'xy'[place % 2]},{more}" for place, (image, more) in enumerate(zip(names, cells, strict=True))]
    found = table("\n".join([f"image,label,{header}", "missing.jpg,x,1,1", *rows])).likely_groups
    column = None if name is None else header.split(",").index(name)
    assert found == (name and (name, [more.split(",")[column] for more in cells]))


def test_class_names_order_texts_and_name_numbers(table):
    assert table(PLAIN, class_names=("dog", "cat")).labels.tolist() == [1, 0]
    numbered = table("image,label\na.jpg,1\nb.jpg,0\n", class_names=("no", "yes"))
    assert _rows(numbered) == {"a.jpg": "yes", "b.jpg": "no"}
    assert plan_splits(numbered, SourceOptions(source="x", split="train=1")).splits["train"].size == 2


@pytest.mark.parametrize(
    ("text", "options", "named"),
    [
        (PLAIN, {"image_column": "imgae"}, r"--image-column.*Did you mean 'image'.*parted by ','"),
        (PLAIN, {"group_column": "patient"}, r"--group-column.*columns=\['image', 'label'\]"),
        (PLAIN, {"delimiter": ";"}, r"columns=\['image,label'\]"),
        (PLAIN.replace("label", "image"), {"label_column": "image"}, "one column that --image-column"),
        (PLAIN, {"image_suffix": ".png"}, r"first='a.jpg.png: line 2: No such file.*--image-suffix"),
        ("image,label\n", {}, "first='no rows'"),
        ("", {}, "columns=\\[\\]"),
        (PLAIN, {"class_names": ("cat", "mouse")}, r"place='line 3', label='dog'"),
        (PLAIN + 'e.jpg,"open\nf.jpg,dog\n', {}, "line=4, error='unexpected end of data'"),
        (PLAIN, {"images": "/nowhere"}, "--images.*/nowhere"),
        (PLAIN, {"label_pattern": "cat|dog"}, "--label-pattern only where SOURCE is a folder"),
        (PLAIN, {"value_range": "0-1"}, "--value-range only where SOURCE holds arrays"),
    ],
)
def test_a_table_that_can_not_be_used_is_refused(table, text, options, named):
    with pytest.raises(InputError, match=named):
        table(text, **options)


def test_a_table_that_is_not_utf_8_is_refused(table):
    with pytest.raises(InputError, match="UTF-8"):
        table("image,label\na.jpg,Bär\nb.jpg,dog\n", encoding="latin-1")
