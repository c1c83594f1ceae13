"""A run's folder: what it holds, whether it is finished, and whether it may be written. Free of TensorFlow.

config.yaml        every option, resolved
environment.json   versions, devices, what was really on, the data set's fingerprint
metrics.jsonl      a line an epoch
tensorboard/       the same for TensorBoard
weights/           best.weights.h5 (lowest validation loss), last.weights.h5
evaluation.json    on the held-out split
report.html        the same for people: curves, what they say, options
checkpoints/       the last ones, which a run that was stopped goes on from
log.txt            warnings of TensorFlow and others
model.keras        written last: where it stands, the run is finished
"""

import json
import math
import shutil
from pathlib import Path
from typing import Any

from base import files
from base.errors import input_error
from base.options import read_yaml, to_yaml

# In the order of removal: without its model a run is not finished, and without its options it is no run.
_ENTRIES = (
    "model.keras",
    "report.html",
    "evaluation.json",
    "checkpoints",
    "metrics.jsonl",
    "tensorboard",
    "weights",
    "log.txt",
    "environment.json",
    "config.yaml",
)
_OVERWRITE = "Choose another --run, or replace this one with --overwrite."


class RunDirectory:
    """The folder of one run."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    @property
    def config(self) -> Path:
        """Every option, resolved."""
        return self.path / "config.yaml"

    @property
    def environment(self) -> Path:
        """Versions, devices, what was really on."""
        return self.path / "environment.json"

    @property
    def metrics(self) -> Path:
        """A JSON line an epoch."""
        return self.path / "metrics.jsonl"

    @property
    def evaluation(self) -> Path:
        """The report on the held-out split."""
        return self.path / "evaluation.json"

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.path / "report.html"

    @property
    def checkpoints(self) -> Path:
        """Where a run that was stopped goes on from."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """Event files."""
        return self.path / "tensorboard"

    @property
    def best_weights(self) -> Path:
        """Of the lowest validation loss."""
        return self.path / "weights" / "best.weights.h5"

    @property
    def last_weights(self) -> Path:
        """Of the last epoch."""
        return self.path / "weights" / "last.weights.h5"

    @property
    def model(self) -> Path:
        """The trained model."""
        return self.path / "model.keras"

    @property
    def log(self) -> Path:
        """Warnings of TensorFlow and others."""
        return self.path / "log.txt"

    def is_finished(self, asked: dict[str, Any], data_fingerprint: str, *, overwrite: bool) -> bool:
        """Whether the very run that is asked for stands here finished.

        Args:
            asked: The options as the user gave them; those that are None or "auto" agree with whatever the run chose.
            data_fingerprint: Of the data set.
            overwrite: Whether a run of other options may go.

        Returns:
            True for a finished run of these options; False where the run is to be made.

        Raises:
            InputError: A run of other options or data, or a folder that is no run.
        """
        if not self.path.exists() or (self.path.is_dir() and not _contents(self.path)):
            return False
        if not self.path.is_dir() or not self.config.is_file():
            raise input_error(
                "Expected --run to name a new folder or a run's", run=str(self.path), do="Choose another --run."
            )
        if overwrite:
            foreign = sorted(_contents(self.path) - set(_ENTRIES))
            if foreign:
                raise input_error(
                    f"Expected only a run's files in {self.path}",
                    also_there=foreign,
                    do="Move them, or choose another --run.",
                )
            return False
        differences = self._differences(asked, data_fingerprint)
        if differences:
            raise input_error(
                f"Expected a run of these options in {self.path}. Differing: {differences}", do=_OVERWRITE
            )
        return self.model.is_file()

    def create(self, config: dict[str, Any], environment: dict[str, Any]) -> None:
        """Makes the folder anew, with its options and environment; what an earlier run left is removed."""
        for name in _ENTRIES:
            entry = self.path / name
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
        self.path.mkdir(parents=True, exist_ok=True)
        files.write_text(self.config, to_yaml(config))
        files.write_json(self.environment, environment)
        self.best_weights.parent.mkdir()

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Adds a line to `metrics.jsonl`; what is not finite becomes null, since JSON has no other word for it."""
        row = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")

    def _differences(self, asked: dict[str, Any], data_fingerprint: str) -> str:
        chosen = read_yaml(self.config)
        different = [
            f"{name} {chosen.get(name)!r} there, {value!r} asked"
            for name, value in asked.items()
            if value not in (None, "auto") and chosen.get(name) != value
        ]
        try:
            there = json.loads(self.environment.read_text(encoding="utf-8")).get("data_fingerprint")
        except (OSError, ValueError):
            there = None
        if there != data_fingerprint:
            different.append(f"data set {there} there, {data_fingerprint} asked")
        return "; ".join(different)


def _contents(path: Path) -> set[str]:
    """What stands in a folder, but for the temporary files of a process that was killed."""
    return {entry.name for entry in path.iterdir() if not (entry.name.startswith(".") and ".tmp" in entry.name)}
