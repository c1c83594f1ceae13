"""A table's rows: its file read, its columns found, rows that repeat or contradict others told apart."""

import csv
import dataclasses
import io
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from base.errors import InputError, input_error, nearest, require
from pipelines.sources.options import SourceOptions
from pipelines.sources.source import Problem
from pipelines.sources.tree import as_text

_DELIMITERS = ",;\t|"
_GROUP = re.compile(r"patient|subject|person|lesion|group|case|study|series|session|scene|[_ -]id$", re.IGNORECASE)
_NO_GROUP = re.compile(r"label|class|category|target|image|diagnosis", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """What one line says about one image."""

    line: int  # the file's, from 1; of a row with line breaks in it the last
    image: str  # path of its file, suffix included
    label: str
    split: str  # "" where the table has no such column, as with `group`
    group: str
    others: tuple[str, ...] = ()  # cells of the columns that look like a group's, where no group's column is given


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """The rows that can be used, and the others."""

    rows: list[Row]
    problems: list[Problem]
    suspects: tuple[str, ...]  # names of the columns that look like a group's: those of `Row.others`


def read_table(path: Path, options: SourceOptions) -> Table:
    """Reads the table at `path`.

    Raises:
        InputError: Unreadable, not UTF-8, no header, or not the columns that the options name.
    """
    problems: list[Problem] = []
    rows: list[Row] = []
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # passes over a BOM
            delimiter = _delimiter(path, options, file.read(1 << 16))
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, strict=True)  # a quote left open is an error, not a cell
            header = [name.strip() for name in next(reader, [])]
            columns = _columns(path, header, delimiter, options)
            suspects = [] if options.group_column else _suspects(header, columns)
            line = reader.line_num + 1
            for cells in reader:
                row = _row(cells, len(header), columns, suspects, reader.line_num, options) if cells else None
                line = reader.line_num + 1
                if row is not None:  # an empty line says nothing
                    (rows if isinstance(row, Row) else problems).append(row)
    except (UnicodeDecodeError, OSError, csv.Error) as error:
        raise _unreadable(path, line, error) from None
    kept, contradicted = _tell_apart(rows)
    return Table(kept, problems + contradicted, tuple(header[place] for place in suspects))


def read_images(path: Path, options: SourceOptions) -> Iterator[tuple[int, str | None]]:
    """The cells of a table's image column, line by line, whatever else the table holds: nothing is kept in memory.

    Args:
        path: The table, UTF-8, with a header.
        options: Of them the image column and the delimiter.

    Yields:
        The line's number, and the cell as it stands there; None for a line of too few or too many cells.

    Raises:
        InputError: As `read_table`.
    """
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter = _delimiter(path, options, file.read(1 << 16))
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            header = [name.strip() for name in next(reader, [])]
            column = _columns(path, header, delimiter, options)[0]
            line = reader.line_num + 1
            for cells in filter(None, reader):
                yield reader.line_num, cells[column] if len(cells) == len(header) else None
                line = reader.line_num + 1
    except (UnicodeDecodeError, OSError, csv.Error) as error:
        raise _unreadable(path, line, error) from None


def likely_groups(rows: Sequence[Row], names: Sequence[str]) -> tuple[str, list[str]] | None:
    """The first column that looks like a group's, where several rows, but not all, share a value.

    Args:
        rows: Of `read_table`.
        names: Its `suspects`.

    Returns:
        Its name, and what it says of each row, "" where it says nothing; None without one.
    """
    for place, name in enumerate(names):
        values = [row.others[place] for row in rows]
        there = [value for value in values if value]
        if 1 < len(set(there)) < len(there):
            return name, values
    return None


def _unreadable(path: Path, line: int, error: Exception) -> InputError:
    if isinstance(error, UnicodeDecodeError):
        return input_error("Expected a table in UTF-8", table=str(path), error=str(error), do="Save it as UTF-8.")
    return input_error("Expected a readable table", table=str(path), line=line, error=str(error))


def _delimiter(path: Path, options: SourceOptions, sample: str) -> str:
    """The one given, or the one by which the header has the columns that are wanted."""
    if options.delimiter:
        return "\t" if options.delimiter == "tab" else options.delimiter
    wanted = {options.image_column, options.label_column} - {""}
    for delimiter in _DELIMITERS:
        header = next(csv.reader(io.StringIO(sample), delimiter=delimiter), [])
        if wanted <= {name.strip() for name in header}:
            return delimiter
    return max(_DELIMITERS, key=sample.partition("\n")[0].count)


def _columns(path: Path, header: Sequence[str], delimiter: str, options: SourceOptions) -> tuple[int | None, ...]:
    """The places of the columns of image, label, split and group; None for one that isn't wanted."""
    places: list[int | None] = []
    for role in ("image_column", "label_column", "split_column", "group_column"):
        name = getattr(options, role)
        if not name:
            places.append(None)
            continue
        flag = f"--{role.replace('_', '-')}"
        do = f"{nearest(name, header)} (parted by {delimiter!r}; see --delimiter)"
        expected = f"Expected the table to have one column that {flag} names"
        require(header.count(name) == 1, expected, table=str(path), column=name, columns=list(header), do=do)
        places.append(header.index(name))
    return tuple(places)


def _suspects(header: Sequence[str], columns: Sequence[int | None]) -> list[int]:
    """The places of the columns whose names are those of groups: first what a group is, then any number of one."""
    found = [
        (match[0].lower().endswith("id"), place)
        for place, name in enumerate(header)
        if place not in columns and (match := _GROUP.search(name)) and not _NO_GROUP.search(name)
    ]
    return [place for _, place in sorted(found)]


def _row(
    cells: Sequence[str],
    width: int,
    columns: Sequence[int | None],
    suspects: Sequence[int],
    line: int,
    options: SourceOptions,
) -> Row | Problem:
    if len(cells) != width:
        return Problem(f"line {line}", f"{len(cells)} cells, where the header has {width}")
    image, label, split, group = ("" if column is None else cells[column] for column in columns)
    if not image.strip():
        return Problem(f"line {line}", "no image")
    path = os.path.normpath(image + options.image_suffix)
    if not label.strip():
        return Problem(as_text(path), f"line {line}: no label")
    if options.split_column and not split.strip():
        return Problem(as_text(path), f"line {line}: no split")
    others = tuple(cells[column].strip() for column in suspects)
    return Row(line, path, label.strip(), split.strip(), group.strip(), others)


def _tell_apart(rows: Sequence[Row]) -> tuple[list[Row], list[Problem]]:
    """The rows of which each names another image; and those that repeat, or contradict, what another says of it."""
    first: dict[str, Row] = {}
    contradicted: dict[str, str] = {}
    problems = []
    for row in rows:
        known = first.setdefault(row.image, row)
        for role in ("label", "split", "group"):
            one, other = getattr(known, role), getattr(row, role)
            if one != other and row.image not in contradicted:
                contradicted[row.image] = f"lines {known.line} and {row.line} give it two {role}s: {one!r}, {other!r}"
    for row in rows:
        if row.image in contradicted:
            problems.append(Problem(as_text(row.image), f"line {row.line}: {contradicted[row.image]}"))
        elif row is not first[row.image]:
            problems.append(Problem(as_text(row.image), f"line {row.line} repeats line {first[row.image].line}"))
    return [row for row in first.values() if row.image not in contradicted], problems
