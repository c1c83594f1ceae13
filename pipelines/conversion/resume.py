"""How a conversion begins: anew, or where one that was stopped left off. Without TensorFlow."""

import hashlib
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from base.errors import input_error
from base.files import sync
from pipelines.conversion import journal
from pipelines.conversion.journal import FinishedShard
from pipelines.conversion.workplace import Workplace
from pipelines.sources.source import Source


def listing_fingerprint(source: Source, splits: dict[str, np.ndarray]) -> str:
    """Names a source's listing and its division: equal as long as no image was added, removed, resized or relabelled.

    Args:
        source: As it is listed now.
        splits: Name -> int64 places.
    """
    digest = hashlib.sha256(json.dumps([list(source.classes), list(source.ids)]).encode())
    digest.update(json.dumps(None if source.groups is None else list(source.groups)).encode())
    digest.update(json.dumps([[problem.id, problem.reason] for problem in source.problems]).encode())
    for array in (source.labels, source.sizes, *splits.values()):
        digest.update(b"none" if array is None else np.asarray(array, "<i8").tobytes())
    digest.update(json.dumps(list(splits)).encode())
    return digest.hexdigest()


def resume(place: Workplace, identity: dict[str, Any], *, overwrite: bool, threads: int) -> list[FinishedShard]:
    """Looks at what a conversion has left behind, and clears away what is of no use.

    Args:
        place: Claimed.
        identity: What the result depends on, as JSON holds it.
        overwrite: Whether another command's leftovers may go.
        threads: That read the finished shards.

    Returns:
        The shards that need not be made again: of each split the first ones, whole on the disk.

    Raises:
        InputError: The leftovers of another command, or of another state of the source.
    """
    known, shards = journal.read(place.journal)
    if known != identity:
        if known is not None and not overwrite:
            _refuse(place, known, identity)
        shards = []
    _take_back(place)
    with ThreadPoolExecutor(threads) as pool:
        whole = list(pool.map(lambda shard: _is_whole(place, shard), shards))
    kept: list[FinishedShard] = []
    for shard, good in zip(shards, whole, strict=True):
        before = sum(other.split == shard.split for other in kept)
        if good and before == shard.number:  # one that follows a damaged one begins elsewhere, perhaps
            kept.append(shard)
    if not kept:
        place.begin()
    _clear(place, kept)
    journal.start(place.journal, identity, kept)
    sync(place.folder)
    return kept


def _is_whole(place: Workplace, shard: FinishedShard) -> bool:
    path = place.shard(shard.split, shard.number)
    if not path.is_file() or not place.observed(shard.split, shard.number).is_file():
        return False
    with path.open("rb") as file:
        return path.stat().st_size == shard.bytes and hashlib.file_digest(file, "sha256").hexdigest() == shard.sha256


def _take_back(place: Workplace) -> None:
    """Gives shards the names by which they are known here, where a conversion was stopped while giving final ones."""
    for path in place.dataset.glob("*.tfrecord-*") if place.dataset.exists() else ():
        if match := re.fullmatch(r".*-(\w+)\.tfrecord-(\d{5})-of-\d{5}", path.name):
            os.replace(path, place.shard(match[1], int(match[2])))


def _clear(place: Workplace, kept: list[FinishedShard]) -> None:
    """Removes unfinished shards, and metadata of a conversion that was stopped at its end."""
    wanted = {place.shard(shard.split, shard.number) for shard in kept}
    wanted |= {place.observed(shard.split, shard.number) for shard in kept}
    for folder in (place.shards, place.observations, place.dataset):
        for path in folder.iterdir():
            if path not in wanted:
                path.unlink()


def _refuse(place: Workplace, known: dict[str, Any], identity: dict[str, Any]) -> None:
    there, wanted = (flatten(value) for value in (known, identity))
    keys = sorted(key for key in {*there, *wanted} if there.get(key) != wanted.get(key))
    options = [key for key in keys if key != "listing"]
    if options:
        raise input_error(
            f"Expected nothing of another command in {place.folder} ({', '.join(options)} differ)",
            there={key: there.get(key) for key in options},
            wanted={key: wanted.get(key) for key in options},
            do="Give the command that was stopped, a new --out, or --overwrite to begin anew.",
        )
    raise input_error(
        f"Expected the source as it was when the conversion in {place.folder} was stopped",
        do="Its images, classes or labels have changed: begin anew with --overwrite.",
    )


def flatten(identity: dict[str, Any]) -> dict[str, Any]:
    """An identity with the options among its own keys."""
    return {**{key: value for key, value in identity.items() if key != "made_by"}, **identity.get("made_by", {})}
