"""What a conversion has finished so far, a line of JSON a shard: what the next run need not do again. Without
TensorFlow.

A line is written when its shard has reached the disk. One that was cut off by a crash or a full disk is no line.
"""

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from base.files import write_text
from pipelines.manifest import Shard


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinishedShard:
    """A shard on the disk, and what the dataset's metadata will say of it."""

    split: str
    number: int  # from 0, within the split
    stop: int  # the position in the split's order at which the next shard begins
    examples: int
    bytes: int
    sha256: str
    record_bytes: int  # without TFRecord's frames
    examples_per_class: tuple[int, ...]
    skipped: tuple[tuple[int, str], ...]  # place in the source and reason, of those that stood among its examples
    grey: bool  # all of them
    shapes: tuple[tuple[int, int], ...]  # different (height, width); two are enough to know that they differ
    oriented: int  # how many have to be turned

    def named(self, file: str) -> Shard:
        """What the manifest holds of it."""
        return Shard(file=file, examples=self.examples, bytes=self.bytes, sha256=self.sha256)


def start(path: Path, identity: dict[str, Any], shards: Sequence[FinishedShard] = ()) -> None:
    """Begins a journal anew, with what is kept of an older one."""
    write_text(path, _line(identity) + "".join(_line(dataclasses.asdict(shard)) for shard in shards))


def append(path: Path, shard: FinishedShard) -> None:
    """Adds a shard; returns when the line is on the disk."""
    with path.open("a", encoding="utf-8") as file:
        file.write(_line(dataclasses.asdict(shard)))
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> tuple[dict[str, Any] | None, list[FinishedShard]]:
    """The identity of the conversion that keeps this journal, and its shards; (None, []) where there is no journal."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last line's end was cut off
    except FileNotFoundError:
        return None, []
    values = []
    for line in lines:
        try:
            values.append(json.loads(line))
        except ValueError:
            break
    return (values[0], [_shard(value) for value in values[1:]]) if values else (None, [])


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def _shard(value: dict[str, Any]) -> FinishedShard:
    return FinishedShard(
        **{
            **value,
            "examples_per_class": tuple(value["examples_per_class"]),
            "skipped": tuple((place, reason) for place, reason in value["skipped"]),
            "shapes": tuple((height, width) for height, width in value["shapes"]),
        }
    )
