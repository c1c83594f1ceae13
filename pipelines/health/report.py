"""Observations of all images -> health.json and health.html."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from base.files import write_json, write_text
from base.page import render
from pipelines.health.facts import Facts, gather_facts
from pipelines.health.findings import LEVELS, Finding, find, unreadable
from pipelines.health.images import pixel_digests, thumbnails
from pipelines.health.observation import Observation
from pipelines.health.twins import Cluster, find_twins
from pipelines.sources.source import Problem, Source

JSON_NAME, HTML_NAME = "health.json", "health.html"
_TEMPLATE = Path(__file__).parent / "health.html.jinja"
# Of what the page shows; health.json holds all. A thumbnail takes some 5 KB.
_CLUSTERS_SHOWN, _MEMBERS_SHOWN, _LINES_SHOWN, _CLASSES_SHOWN, _THUMBNAILS = 10, 8, 100, 40, 250


@dataclasses.dataclass(frozen=True, kw_only=True)
class Health:
    """What is known of a data set and what is wrong with it."""

    source: str
    classes: tuple[str, ...]
    observations: tuple[Observation, ...]  # by place
    skipped: int
    left_out: tuple[str, ...]  # ids of images that balancing left out
    facts: Facts | None  # None without images
    findings: tuple[Finding, ...]  # the gravest first

    def summary(self) -> list[str]:
        """The findings in a line each, as the command prints them."""
        compared = any(one.sha256 for one in self.observations)
        blind = "" if compared or not self.observations else "; images were not compared (--check none)"
        if not self.findings:
            return [f"health: nothing found{blind}"]
        counts = {level: sum(finding.level == level for finding in self.findings) for level in LEVELS}
        plural = {level: "" if count == 1 or level == "serious" else "s" for level, count in counts.items()}
        shown = ", ".join(f"{count} {level}{plural[level]}" for level, count in counts.items() if count)
        lines = [f"health: {shown}; see {HTML_NAME}{blind}"]
        for finding in self.findings:
            images = f" ({finding.images:,})" if finding.images else ""
            lines.append(f"  {finding.level:<8} {finding.title}{images}")
        return lines

    def to_json(self) -> dict[str, Any]:
        """What `health.json` holds."""
        return {
            "format": "millrace-health",
            "version": 1,
            "source": self.source,
            "classes": list(self.classes),
            "images": {
                "found": len(self.observations) + self.skipped + len(self.left_out),
                "converted": len(self.observations),
                "skipped": self.skipped,
                "left_out": len(self.left_out),
            },
            "facts": self.facts and self._facts_json(self.facts),
            "findings": [self._finding_json(finding) for finding in self.findings],
            "left_out": list(self.left_out),
        }

    def _facts_json(self, facts: Facts) -> dict[str, Any]:
        values = dataclasses.asdict(facts)
        extremes = {name: [self._image_json(i) for i in members] for name, members in facts.extremes.items()}
        return values | {"extremes": extremes}

    def _finding_json(self, finding: Finding) -> dict[str, Any]:
        clusters = [
            {"how": cluster.how, "images": [self._image_json(i) for i in cluster.members]}
            for cluster in finding.clusters
        ]
        lines = [{"id": id, "reason": reason} for id, reason in finding.lines]
        return dataclasses.asdict(finding) | {"clusters": clusters, "lines": lines}

    def _image_json(self, i: int) -> dict[str, Any]:
        one = self.observations[i]
        width, height = one.upright
        return {"id": one.id, "split": one.split, "class": self.classes[one.label], "size": [width, height]}


def report_health(
    folder: Path,
    source: Source,
    observations: Sequence[Observation],
    problems: Sequence[Problem],
    *,
    left_out: Sequence[int] | np.ndarray = (),
) -> Health:
    """Finds what is wrong with a data set, and writes `health.json` and `health.html` into `folder`.

    Nothing of it depends on the time, the machine or the order in which the images were converted, so that a resumed
    conversion ends with the same bytes.

    Args:
        folder: Exists.
        source: Of the images; some are read again, to compare their pixels and to show them.
        observations: One for each image converted, in any order.
        problems: What could not be converted, `source.problems` included.
        left_out: Places of images that were left out on purpose, as by balancing.

    Returns:
        What was found; `summary()` is what the command prints.
    """
    ordered = tuple(sorted(observations, key=lambda one: one.place))
    facts, findings = None, unreadable(problems)
    if ordered:
        facts = gather_facts(ordered, len(source.classes))
        twins = find_twins(ordered, lambda places: pixel_digests(source, places))
        findings = find(ordered, problems, facts, twins)
    health = Health(
        source=source.name,
        classes=source.classes,
        observations=ordered,
        skipped=len(problems),
        left_out=tuple(source.ids[place] for place in sorted(int(place) for place in left_out)),
        facts=facts,
        findings=tuple(findings),
    )
    write_json(folder / JSON_NAME, health.to_json())
    write_text(folder / HTML_NAME, _page(health, source))
    return health


def _page(health: Health, source: Source) -> str:
    shown = {
        finding.kind: [_shown(cluster, health) for cluster in finding.clusters[:_CLUSTERS_SHOWN]]
        for finding in health.findings
    }
    extremes = health.facts.extremes if health.facts else {}
    wanted = [i for clusters in shown.values() for cluster in clusters for i in cluster.members]
    wanted = list(dict.fromkeys([*wanted, *(i for members in extremes.values() for i in members)]))[:_THUMBNAILS]
    pictures = thumbnails(source, [health.observations[i].place for i in wanted])
    return render(
        _TEMPLATE,
        health=health,
        facts=health.facts,
        shown=shown,
        pictures=pictures,
        class_rows=_class_rows(health),
        lines_shown=_LINES_SHOWN,
        how={"bytes": "the same bytes", "pixels": "the same pixels", "near": "nearly the same"},
    )


def _shown(cluster: Cluster, health: Health) -> Cluster:
    """The first members of a cluster, in turn of each split and class, so that what is at odds is seen side by side."""
    seen: dict[tuple[str, int], int] = {}
    turns = []
    for i in cluster.members:
        one = health.observations[i]
        turn = seen[one.split, one.label] = seen.get((one.split, one.label), 0) + 1
        turns.append((turn, i))
    return Cluster(cluster.how, tuple(i for _, i in sorted(turns)[:_MEMBERS_SHOWN]))


def _class_rows(health: Health) -> list[int]:
    """The classes of the page's table, the most frequent first: all, or those at both ends."""
    if health.facts is None:
        return []
    counts = health.facts.counts[health.facts.trained_on]
    ranked = sorted(range(len(counts)), key=lambda label: (-counts[label], label))
    half = _CLASSES_SHOWN // 2
    return ranked if len(ranked) <= _CLASSES_SHOWN else ranked[:half] + ranked[-half:]
