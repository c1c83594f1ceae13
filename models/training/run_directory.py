"""A run's folder: what it holds, whether it is finished, and whether it may be written. Free of TensorFlow.

config.yaml        every option, resolved
environment.json   versions, devices, what was really on, the data set's fingerprint
metrics.jsonl      a line an epoch
tensorboard/       the same for TensorBoard
best.keras         the model of the lowest validation loss so far
evaluation.json    on the held-out split
report.html        the same for people: curves, what they say, options
evaluation-*       reports of evaluate.py, a split each
checkpoints/       the last ones, which a run that was stopped goes on from
replay/            where a step failed: the moment before it
log.txt            warnings of TensorFlow and others
clock.json         when its last process had made its first step and its last, by the machine's monotonic clock
model.keras        written last: where it stands, the run is finished
"""

import contextlib
import json
import math
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from base import files
from base.errors import input_error
from base.recipes import read_yaml, to_yaml

# In the order of removal: without its model a run is not finished, and without its options it is no run.
_RESULTS = ("model.keras", "report.html", "evaluation.json", "clock.json")
_ENTRIES = (
    *_RESULTS,
    "checkpoints",
    "replay",
    "metrics.jsonl",
    "tensorboard",
    "best.keras",
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
    def replay(self) -> Path:
        """The moment before a step that failed."""
        return self.path / "replay"

    @property
    def tensorboard(self) -> Path:
        """Event files."""
        return self.path / "tensorboard"

    @property
    def best(self) -> Path:
        """The model of the lowest validation loss so far."""
        return self.path / "best.keras"

    @property
    def model(self) -> Path:
        """The trained model."""
        return self.path / "model.keras"

    @property
    def log(self) -> Path:
        """Warnings of TensorFlow and others."""
        return self.path / "log.txt"

    @property
    def clock(self) -> Path:
        """When its last process made its first step, and its last."""
        return self.path / "clock.json"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes from writing the run during the block.

        Raises:
            InputError: One does.
        """
        lock = self.path.absolute()
        lock = lock.with_name(f".{lock.name}.lock")  # beside it: the folder may not be there yet
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            with files.locked(lock):
                yield
        except BlockingIOError:
            raise input_error(
                "Expected a --run that no other process is writing", run=str(self.path), do="Wait for it, or stop it."
            ) from None

    def state(
        self, asked: Mapping[str, Any], identities: Mapping[str, Any], *, overwrite: bool, longer: bool
    ) -> Literal["new", "unfinished", "finished"]:
        """What stands here of the run that is asked for.

        Args:
            asked: The options as the user gave them, without the neutral ones; those that are None or "auto" agree with
                whatever the run chose.
            identities: Names of `environment` -> fingerprints of what the run was made of.
            overwrite: Whether a run of other options may go.
            longer: Whether more epochs make the same run, only longer.

        Raises:
            InputError: A run of other options or data, or a folder that is no run.
        """
        if not self.path.exists() or (self.path.is_dir() and _contents(self.path) <= {self.environment.name}):
            return "new"
        if not self.path.is_dir() or not self.config.is_file():
            raise input_error(
                "Expected --run to name a new folder or a run's", run=str(self.path), do="Choose another --run."
            )
        if overwrite:
            foreign = sorted(_contents(self.path) - {*_ENTRIES, *self._reports()})
            if foreign:
                raise input_error(
                    f"Expected only a run's files in {self.path}",
                    also_there=foreign,
                    do="Move them, or choose another --run.",
                )
            return "new"
        chosen = self.chosen()
        more = longer and asked["epochs"] > chosen["epochs"]
        differences = [
            f"{name} {chosen.get(name)!r} there, {value!r} asked"
            for name, value in asked.items()
            if value not in (None, "auto") and chosen.get(name) != value and not (more and name == "epochs")
        ]
        self._require_none(differences + self._other_identities(identities))
        return "finished" if self.model.is_file() and not more else "unfinished"

    def chosen(self) -> dict[str, Any]:
        """The options of the run that stands here, resolved."""
        return read_yaml(self.config)

    def create(
        self, config: Mapping[str, Any], environment: Mapping[str, Any], rows: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        """Makes the folder anew, with its options and environment; what an earlier run left is removed.

        Args:
            config: The options, resolved.
            environment: Of this process.
            rows: Of metrics.jsonl, where it starts with epochs that are done.
        """
        self._remove([*_RESULTS, *self._reports(), *_ENTRIES])
        self.path.mkdir(parents=True, exist_ok=True)
        self._sweep()
        if rows:
            files.write_text(self.metrics, "".join(map(_line, rows)))
        self._describe(config, environment)

    def go_on(
        self,
        config: Mapping[str, Any],
        environment: Mapping[str, Any],
        *,
        rows: Sequence[Mapping[str, Any]],
        neutral: Collection[str],
    ) -> None:
        """Prepares the folder for a run that goes on: what it had written after its checkpoint goes.

        Args:
            config: The options, resolved anew.
            environment: Of this process.
            rows: Of metrics.jsonl, of the epochs that were done at the checkpoint.
            neutral: The options that may have changed.

        Raises:
            InputError: Others have: what was left to Millrace was chosen otherwise here.
        """
        chosen = self.chosen()
        self._require_none(
            f"{name} {chosen[name]!r} there, {value!r} here"
            for name, value in config.items()
            if name in chosen and chosen[name] != value and name not in {*neutral, "epochs"}
        )
        self._remove([*_RESULTS, *self._reports()])
        self._sweep()
        files.write_text(self.metrics, "".join(map(_line, rows)))
        self._describe(config, environment)

    def _sweep(self) -> None:
        """Removes the temporary files of processes that were killed; the lock keeps those that live out."""
        for folder in (self.path, self.checkpoints, self.replay):
            for entry in folder.glob(".*.tmp*"):
                entry.unlink()

    def _describe(self, config: Mapping[str, Any], environment: Mapping[str, Any]) -> None:
        # The options last: killed before, there is no run yet, and not one that agrees with nothing that is asked.
        files.write_json(self.environment, environment)
        files.write_text(self.config, to_yaml(dict(config)))

    def _reports(self) -> list[str]:
        """What evaluate.py has written of the model that stands here."""
        return [path.name for path in self.path.glob("evaluation-*") if path.suffix in (".json", ".html", ".png")]

    def _remove(self, names: Sequence[str]) -> None:
        for name in names:
            entry = self.path / name
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)

    def _require_none(self, differences: Iterable[str]) -> None:
        listed = "; ".join(differences)
        if listed:
            raise input_error(f"Expected a run of these options in {self.path}. Differing: {listed}", do=_OVERWRITE)

    def _other_identities(self, identities: Mapping[str, Any]) -> list[str]:
        try:
            there = json.loads(self.environment.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            there = {}
        return [
            f"{name} {there.get(name)} there, {value} asked"
            for name, value in identities.items()
            if there.get(name) != value
        ]

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Adds a line to `metrics.jsonl`; what is not finite becomes null, since JSON has no other word for it."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(_line(row))


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(_spoken(dict(row)), allow_nan=False) + "\n"


def _spoken(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _spoken(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _contents(path: Path) -> set[str]:
    """What stands in a folder, but for the temporary files of a process that was killed."""
    return {entry.name for entry in path.iterdir() if not (entry.name.startswith(".") and ".tmp" in entry.name)}
