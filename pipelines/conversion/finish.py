"""From finished shards to a dataset: their names, the health report, TFDS metadata, the manifest."""

import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from base.errors import require
from base.files import write_json
from pipelines.conversion import journal
from pipelines.conversion.journal import FinishedShard
from pipelines.conversion.plan import Plan
from pipelines.conversion.tfds_metadata import dataset_name, write_tfds_metadata
from pipelines.conversion.workplace import Workplace
from pipelines.health.observation import Observation
from pipelines.health.report import Health, report_health
from pipelines.images.form import Form
from pipelines.manifest import FILE_NAME, Manifest, Split
from pipelines.sources.source import Problem, Source


@dataclasses.dataclass(frozen=True, kw_only=True)
class Converted:
    """What a conversion has made, and what it has to say."""

    manifest: Manifest
    health: Health
    problems: tuple[Problem, ...]  # what was skipped, and why


def finish(
    place: Workplace,
    source: Source,
    plan: Plan,
    form: Form,
    made_by: dict[str, Any],
    lost: Sequence[tuple[int, str]],
) -> Converted:
    """Makes the dataset whole, and gives it its name.

    All that it writes comes from the journal and what lies beside it, so that it can be done again when it was stopped.

    Args:
        place: With all shards finished.
        source: The images.
        plan: How they were divided.
        form: Of all records.
        made_by: As the manifest keeps it.
        lost: Place and reason of images that could not be converted, and that no shard accounts for.

    Raises:
        InputError: A class is left without an example in the first split.
    """
    _, finished = journal.read(place.journal)
    by_split = {split: [shard for shard in finished if shard.split == split] for split in plan.splits}
    shards = [shard for own in by_split.values() for shard in own]
    _check_classes(source, by_split)
    skipped = [skip for shard in shards for skip in shard.skipped] + list(lost)
    problems = [*source.problems, *(Problem(source.ids[at], reason) for at, reason in skipped)]
    planned = sum(map(len, plan.splits.values()))
    converted = sum(shard.examples for shard in shards)
    if (converted + len(skipped), planned + len(plan.left_out)) != (planned, len(source.ids)):
        raise RuntimeError(f"Of {len(source.ids)} images {planned} were to be converted, {converted} were.")

    named = {split: _name(place, own) for split, own in by_split.items() if own}
    observations = [seen for shard in shards for seen in _observations(place, shard)]
    health = report_health(place.dataset, source, observations, problems, left_out=plan.left_out)
    shapes = {shape for shard in shards for shape in shard.shapes}
    shape = next(iter(shapes)) if len(shapes) == 1 else None
    channels = form.channels or (1 if all(shard.grey for shard in shards) else 3)
    write_tfds_metadata(
        place.dataset,
        classes=source.classes,
        encoding=form.encoding,
        shape=(*(shape or (None, None)), channels),
        splits=named,
        record_bytes={split: sum(shard.record_bytes for shard in by_split[split]) for split in named},
    )
    manifest = Manifest(
        classes=source.classes,
        channels=channels,
        image_shape=shape,
        encoding=form.encoding,
        oriented=sum(shard.oriented for shard in shards),
        found=len(source.ids) + len(source.problems),
        skipped=len(problems),
        left_out=len(plan.left_out),
        splits=named,
        made_by=made_by,
        files=tuple(sorted([FILE_NAME, *(path.name for path in place.dataset.iterdir())])),
        warnings=plan.warnings,
    )
    write_json(place.dataset / FILE_NAME, manifest.to_json())
    place.publish()
    return Converted(manifest=manifest, health=health, problems=tuple(problems))


def _check_classes(source: Source, by_split: dict[str, list[FinishedShard]]) -> None:
    """The plan saw to it that there are training examples of every class; some may have turned out to be broken."""
    split = next(iter(by_split))
    counts = np.sum([shard.examples_per_class for shard in by_split[split]], axis=0, dtype=int)
    empty = [source.classes[at] for at in np.flatnonzero(np.broadcast_to(counts, len(source.classes)) == 0)]
    require(
        not empty,
        f"Expected at least one readable example of every class in {split}",
        source=source.name,
        without=empty[:5],
        do="Repair the files (--on-error fail names the first), or leave the classes out.",
    )


def _name(place: Workplace, shards: list[FinishedShard]) -> Split:
    """Moves the shards of a split into the dataset, under the names that TFDS wants."""
    prefix = f"{dataset_name(place.out.name)}-{shards[0].split}"
    named = []
    for shard in shards:
        file = f"{prefix}.tfrecord-{shard.number:05d}-of-{len(shards):05d}"
        os.replace(place.shard(shard.split, shard.number), place.dataset / file)
        named.append(shard.named(file))
    counts = np.sum([shard.examples_per_class for shard in shards], axis=0)
    examples = sum(shard.examples for shard in shards)
    return Split(examples=examples, examples_per_class=tuple(counts.tolist()), shards=tuple(named))


def _observations(place: Workplace, shard: FinishedShard) -> list[Observation]:
    with place.observed(shard.split, shard.number).open(encoding="utf-8") as lines:
        return [Observation.from_json(json.loads(line)) for line in lines]
