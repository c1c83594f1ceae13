"""What a search can be told, as options; free of TensorFlow and KerasTuner."""

import dataclasses

from base.errors import require
from base.options import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """What to search on, where to, and for how long."""

    data: str = option(help="a dataset folder with a validation split, made by build_tfrecords.py")
    out: str = option(help="the search's folder: trials, ranking.json, best.yaml")
    trials: int = option(help="how many combinations of hyperparameters are trained")
    space: str | None = option(
        None,
        "cnn, cnn_grid or transfer, ready-made; what a recipe searches takes its place there, and by default stands "
        "alone; cnn where it searches nothing",
    )
    overwrite: bool = option(False, "replace a search of other options")

    def __post_init__(self) -> None:
        require(self.trials >= 1, "Expected --trials of at least 1", trials=self.trials)
