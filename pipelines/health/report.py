"""Observations of all images -> health.json and health.html."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.health.observation import Observation
from pipelines.sources.source import Problem, Source


def report_health(
    folder: Path,
    source: Source,
    observations: Sequence[Observation],
    problems: Sequence[Problem],
    *,
    left_out: Mapping[str, int] | None = None,
) -> None:
    """Finds what is wrong with a data set, and writes `health.json` and `health.html` into `folder`.

    Nothing of it depends on the time, the machine or the order in which the images were converted, so that a resumed
    conversion ends with the same bytes.

    Args:
        folder: Exists.
        source: Of the images; some are read again, to compare their pixels and to show them.
        observations: One for each image converted, in any order.
        problems: Files that could not be converted, those of `source.problems` included.
        left_out: Why -> how many images were left out on purpose, as by balancing.

    Returns:
        What was found; `summary()` is what the command prints.
    """
    raise NotImplementedError
