"""What a search can be told, as options; free of TensorFlow and KerasTuner."""

import dataclasses
from typing import Literal

from base.errors import require
from base.options import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """What to search on, where to, and for how long."""

    data: str = option(help="a dataset folder with a validation split, made by build_tfrecords.py")
    out: str = option(help="the search's folder: trials, ranking.json, best.yaml, report.html", neutral=True)
    space: str | None = option(
        None,
        "cnn, cnn_grid or transfer, ready-made; what a recipe searches takes its place there, and by default stands "
        "alone; cnn where it searches nothing",
    )
    hours: float | None = option(None, "no trial is started after that long; those that run go on", neutral=True)
    executions: int = option(1, "how often each combination is trained, with seeds of its own; the mean is its score")
    stop_hopeless: bool = option(
        False,
        "stop a trial whose best epoch is worse than the median of the others' means so far (the median rule)",
        neutral=True,
    )
    overwrite: bool = option(
        False,
        "replace a search of other options, or one all trials of which failed; one of the same options goes on",
        neutral=True,
    )

    def __post_init__(self) -> None:
        require(self.hours is None or self.hours > 0, "Expected --hours above 0", hours=self.hours)
        require(self.executions >= 1, "Expected --executions of at least 1", executions=self.executions)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParallelOptions:
    """Where trials run at the same time."""

    parallel: Literal["auto"] | int = option(
        "auto", "trials at the same time; auto: one a GPU, or one a CPU core where there is none", neutral=True
    )
    devices_per_trial: int | None = option(
        None, "GPUs a trial, which it trains on by strategy mirrored; CPU cores, where there is no GPU", neutral=True
    )
    bind_cores: bool = option(False, "keep each trial on CPU cores of its own", neutral=True)
