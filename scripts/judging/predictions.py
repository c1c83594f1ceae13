"""How predictions are written: rows as CSV, JSON lines, or a table for people. Free of TensorFlow.

Scores are written in the fewest digits that give the same float32 again.
"""

import csv
import json
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TextIO

import numpy as np

from base.errors import input_error, nearest, require

_SHARE = 4  # digits of a score in the table
_SCORE_OF = "score:"


class Row(NamedTuple):
    """What became of an image."""

    image: str
    scores: np.ndarray | None  # float32 [K]; None where there is an error
    order: np.ndarray | None  # int [K], the likeliest class first, the first of equals
    error: str = ""


Column = Callable[[Row], Any]
Write = Callable[[Sequence[Row]], None]


def columns_of(classes: Sequence[str], top: int, *, all_scores: bool) -> dict[str, Column]:
    """The usual columns: image, class_1, score_1, ..., those of all classes if wanted, error."""
    columns: dict[str, Column] = {"image": lambda row: row.image}
    for place in range(min(top, len(classes))):
        columns[f"class_{place + 1}"] = _class_at(place, classes)
        columns[f"score_{place + 1}"] = _score_at(place)
    if all_scores:
        columns |= {f"{_SCORE_OF}{name}": _score_of(number) for number, name in enumerate(classes)}
    return {**columns, "error": lambda row: row.error}


def chosen_columns(text: str, classes: Sequence[str]) -> dict[str, Column]:
    """The columns that --columns names.

    Args:
        text: "NAME=WHAT,...", or "NAME,NAME" for image and the score of the second of two classes.
        classes: The model's.

    Raises:
        InputError: No such form, a name twice, an unknown class.
    """
    # As in CSV, quotes are for a class with a comma in its name.
    parts = [part.strip().partition("=") for part in next(csv.reader([text], skipinitialspace=True), [""])]
    names = [name for name, _, _ in parts]
    distinct = all(names) and len(set(names)) == len(names)
    if len(parts) == 2 and distinct and not any(equals for _, equals, _ in parts):
        require(
            len(classes) == 2,
            "Expected --columns NAME=WHAT,...: only with two classes it is clear whose score is meant",
            columns=text,
            classes=len(classes),
        )
        return {parts[0][0]: lambda row: row.image, parts[1][0]: _score_of(1)}
    good = distinct and all(equals and what for _, equals, what in parts)
    require(good, "Expected --columns NAME=WHAT,..., each name once", columns=text)
    return {name: _column(what, classes) for name, _, what in parts}


def writer(
    form: Literal["csv", "jsonl", "table"], stream: TextIO, columns: dict[str, Column], *, nested: bool = True
) -> Write:
    """A function that writes rows, and has written the heading.

    Args:
        form: How.
        stream: Where to.
        columns: Of `columns_of` or `chosen_columns`.
        nested: Whether the columns are the usual ones: JSON has lists for them, and the table is for reading.
    """
    if form == "csv":
        lines = csv.writer(stream, lineterminator="\n")
        lines.writerow(columns)
        return lambda rows: lines.writerows([_cell(of(row)) for of in columns.values()] for row in rows)
    if form == "jsonl":
        return lambda rows: stream.writelines(_json_line(row, columns, nested) for row in rows)
    return lambda rows: stream.writelines(_table_lines(rows, columns, nested))


def _column(what: str, classes: Sequence[str]) -> Column:
    known: dict[str, Column] = {
        "image": lambda row: row.image,
        "class": _class_at(0, classes),
        "score": _score_at(0),
        "error": lambda row: row.error,
        **{f"{_SCORE_OF}{name}": _score_of(number) for number, name in enumerate(classes)},
    }
    if what not in known:
        expected = "Expected in --columns image, class, score, error or score:CLASS after each NAME="
        raise input_error(expected, what=what, do=nearest(what, known))
    return known[what]


def _class_at(place: int, classes: Sequence[str]) -> Column:
    return lambda row: None if row.scores is None else classes[row.order[place]]


def _score_at(place: int) -> Column:
    return lambda row: None if row.scores is None else row.scores[row.order[place]]


def _score_of(number: int) -> Column:
    return lambda row: None if row.scores is None else row.scores[number]


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


def _json_line(row: Row, columns: dict[str, Column], nested: bool) -> str:
    values = {name: of(row) for name, of in columns.items()}
    values = {name: float(str(value)) if isinstance(value, np.floating) else value for name, value in values.items()}
    if nested:
        values = {"image": row.image, "error": row.error} if row.error else _nested(values)
    return json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n"


def _nested(values: dict[str, Any]) -> dict[str, Any]:
    places = [name.removeprefix("class_") for name in values if name.startswith("class_")]
    top = [{"class": values[f"class_{place}"], "score": values[f"score_{place}"]} for place in places]
    scores = {name.removeprefix(_SCORE_OF): value for name, value in values.items() if name.startswith(_SCORE_OF)}
    return {"image": values["image"], "top": top, **({"scores": scores} if scores else {})}


def _table_lines(rows: Sequence[Row], columns: dict[str, Column], nested: bool) -> list[str]:
    names = [_printable(row.image) for row in rows]
    width = max(map(len, names))
    lines = []
    for row, name in zip(rows, names, strict=True):
        if not nested:
            said = [_shown(of(row)) for of in columns.values()]
        elif row.error:
            said = [f"error: {_printable(row.error)}"]
        else:
            said = _pairs(_nested({key: of(row) for key, of in columns.items()}))
        lines.append("  ".join([f"{name:<{width}}", *said] if nested else said).rstrip() + "\n")
    return lines


def _pairs(row: dict[str, Any]) -> list[str]:
    """A class and its score each: the likeliest ones, then, where they are wanted, all by their columns' names."""
    top = [(one["class"], one["score"]) for one in row["top"]]
    scores = [(f"{_SCORE_OF}{label}", score) for label, score in row.get("scores", {}).items()]
    return [f"{_printable(label)} {_shown(score)}" for label, score in top + scores]


def _shown(value: Any) -> str:
    return f"{value:.{_SHARE}f}" if isinstance(value, np.floating) else _printable(_cell(value))


def _printable(text: str) -> str:
    """`text` without what a terminal would act on."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
