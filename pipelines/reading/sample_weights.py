"""Sample weights: how much each example of the training split counts in the loss, from a table of ids and weights."""

import csv
import difflib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from base.errors import input_error, require

_COLUMNS = ("id", "weight")
_NAMED = 3  # in an error
_COMPARED = 1000  # ids that an unknown one is compared with
_READY = 2  # batches


def read_sample_weights(path: Path, ids: Sequence[str]) -> np.ndarray:
    """Reads a CSV file, UTF-8, whose header names the columns `id` and `weight`; others go unused.

    Args:
        path: Of the file.
        ids: Of the split's examples, in order.

    Returns:
        float32 `[N]`, finite and at least 0, in the order of `ids`.

    Raises:
        InputError: No such file or columns; an id that comes twice, that no example has, or that is missing; a weight
            that is no number, not finite or below 0.
    """
    rows = _rows(Path(path))
    places = {name: place for place, name in enumerate(ids)}
    if len(places) < len(ids):
        doubles = [name for place, name in enumerate(ids) if places[name] != place]
        raise input_error("Expected examples of different ids, to give them weights", doubles=doubles[:_NAMED])
    missing = [name for name in ids if name not in rows]
    unknown = [name for name in rows if name not in places]
    if unknown:
        # A name that was mistyped is missing where it belongs.
        close = difflib.get_close_matches(unknown[0], missing[:_COMPARED], n=1)
        raise input_error(
            f"Expected in {path} only ids of the training split",
            unknown=unknown[:_NAMED],
            count=len(unknown),
            do=f"Did you mean {close[0]!r}?" if close else "",
        )
    require(
        not missing,
        f"Expected in {path} a weight for each of the {len(ids):,} examples of the training split",
        missing=missing[:_NAMED],
        count=len(missing),
    )
    weights = np.empty(len(ids), np.float32)
    for name, weight in rows.items():
        weights[places[name]] = weight
    return weights


def weighted(dataset: tf.data.Dataset, weights: np.ndarray) -> tf.data.Dataset:
    """Training batches with one more column, `sample_weight` float32 `[B]`.

    Args:
        dataset: Of batches as `pipelines.reading.reader` describes them.
        weights: float32 `[N]`, in the split's order.
    """
    with tf.device("/CPU:0"):  # where the batches are made
        table = tf.constant(weights, tf.float32)

    def add(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {**batch, "sample_weight": tf.gather(table, batch["index"])}

    return dataset.map(tf.autograph.experimental.do_not_convert(add)).prefetch(_READY)


def _rows(path: Path) -> dict[str, float]:
    """Id -> weight."""
    rows: dict[str, float] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            require(
                all(header.count(name) == 1 for name in _COLUMNS),
                f"Expected {path} to have the columns id and weight",
                columns=header,
            )
            id_place, weight_place = (header.index(name) for name in _COLUMNS)
            for cells in reader:
                if not cells:  # an empty line says nothing
                    continue
                where = f"line {reader.line_num} of {path}"
                require(len(cells) == len(header), f"Expected {len(header)} cells in {where}", cells=len(cells))
                name = cells[id_place]
                require(name not in rows, f"Expected every id once. It comes again in {where}", id=name)
                rows[name] = _weight(cells[weight_place], where)
    except UnicodeDecodeError as error:
        raise input_error("Expected sample weights in UTF-8", file=str(path), error=str(error)) from None
    except (OSError, csv.Error) as error:
        raise input_error("Expected a readable file of sample weights", file=str(path), error=str(error)) from None
    return rows


def _weight(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    largest = float(np.finfo(np.float32).max)
    require(0 <= value <= largest, f"Expected a finite weight of at least 0 in {where}", weight=text)
    return value
