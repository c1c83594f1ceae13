import csv
import io
import json

import numpy as np
import pytest

from base.errors import InputError
from scripts.judging.predictions import Row, chosen_columns, columns_of, writer

CLASSES = ('a "b", c', "d\ne", "f")


def row(name, scores):
    scores = np.array(scores, np.float32)
    return Row(name, scores, np.argsort(-scores, kind="stable"))


def written(form, rows, columns, **options):
    stream = io.StringIO(newline="")
    write = writer(form, stream, columns, **options)
    for place in range(0, len(rows), 3):
        write(rows[place : place + 3])
    return stream.getvalue()


def test_scores_come_back_to_the_last_bit_and_names_whatever_they_hold():
    rng = np.random.default_rng(0)
    scores = (10.0 ** rng.uniform(-30, 0, (50, 3))).astype(np.float32)
    rows = [row(f'x,"{place}"\n', of_image) for place, of_image in enumerate(scores)]
    columns = columns_of(CLASSES, 2, all_scores=True)
    table = list(csv.DictReader(io.StringIO(written("csv", rows, columns), newline="")))
    lines = [json.loads(line) for line in written("jsonl", rows, columns).splitlines()]
    for given, cells, line in zip(rows, table, lines, strict=True):
        assert cells["image"] == line["image"] == given.image
        np.testing.assert_array_equal([np.float32(cells[f"score:{name}"]) for name in CLASSES], given.scores)
        np.testing.assert_array_equal(np.float32([line["scores"][name] for name in CLASSES]), given.scores)
        best = [CLASSES[place] for place in np.argsort(-given.scores)[:2]]
        assert [cells["class_1"], cells["class_2"]] == [one["class"] for one in line["top"]] == best


def test_of_equal_scores_the_first_class_comes_first():
    cells = written("csv", [row("x", [0.25, 0.5, 0.5])], columns_of(("a", "b", "c"), 9, all_scores=False))
    assert cells.splitlines() == [
        "image,class_1,score_1,class_2,score_2,class_3,score_3,error",
        "x,b,0.5,c,0.5,a,0.25,",
    ]


def test_a_class_with_a_comma_in_its_name_stands_in_quotes():
    columns = chosen_columns('id=image, "p=score:a, ""b"""', ("x", 'a, "b"'))
    assert {name: of(row("i", [0.25, 0.75])) for name, of in columns.items()} == {"id": "i", "p": 0.75}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("id", "Expected --columns"),
        ("a,a", "each name once"),
        (",b", "each name once"),
        ("id=image,id=class", "each name once"),
        ("id=images", "Did you mean 'image'"),
    ],
)
def test_columns_of_no_such_form_are_refused(text, told):
    with pytest.raises(InputError, match=told):
        chosen_columns(text, ("a", "b"))


def test_the_table_has_a_name_with_every_score_those_of_all_classes_too():
    columns = columns_of(("cat", "dog", "owl"), 2, all_scores=True)
    rows = [row("a", [0.25, 0.125, 0.625]), Row("b", None, None, "empty")]
    assert written("table", rows, columns).splitlines() == [
        "a  owl 0.6250  cat 0.2500  score:cat 0.2500  score:dog 0.1250  score:owl 0.6250",
        "b  error: empty",
    ]
