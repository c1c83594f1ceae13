"""A search's folder: what it holds, whether it is finished, and whether it may be written.

search.yaml     what is searched, every other option, the data set's fingerprint
journal.jsonl   what the oracle proposed and was told, in that order: what a search that was stopped goes on from
hours.json      how long it has taken so far
chief.json      of a chief: a name for the search, by which its workers' folders know it
held/           while trials run: decoded images that they have in common (train.py --hold-in)
log.txt         warnings of KerasTuner, TensorFlow and others
trials/01/      recipe.yaml, run/ (of the train command), log.txt (its output), result.json (last: the trial has ended);
                execution-2/, ...: the same of further executions
report.html     what was searched and found, for people; anew while the search goes on
tensorboard/    the same for TensorBoard: a run a trial, and the table of hyperparameters
best.yaml       a recipe of the best trial's options
ranking.json    written last: where it stands, the search is finished
final/          the best trials, trained in full: TRIAL-LABEL/seed-S/ holds recipe.yaml, run/ and log.txt
final.json      what they came to; written when all of them have ended
"""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from base import files
from base.errors import InputError, input_error, require
from base.recipes import read_yaml, to_yaml
from tuning import trial
from tuning.trial import TrialResult, read_result

_ENTRIES = frozenset(
    {"search.yaml", "journal.jsonl", "hours.json", "chief.json", "log.txt", "trials", "best.yaml", "ranking.json"}
    | {"report.html", "tensorboard", "final", "final.json", "held"}
)


class SearchDirectory:
    """The folder of one search."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    @property
    def options(self) -> Path:
        """What is searched, and every other option."""
        return self.path / "search.yaml"

    @property
    def log(self) -> Path:
        """Warnings of KerasTuner, TensorFlow and others."""
        return self.path / "log.txt"

    @property
    def journal(self) -> Path:
        """What the oracle proposed and was told."""
        return self.path / "journal.jsonl"

    @property
    def hours(self) -> Path:
        """How long the search has taken so far."""
        return self.path / "hours.json"

    @property
    def held(self) -> Path:
        """What trials that run have in memory in common."""
        return self.path / "held"

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.path / "report.html"

    @property
    def tensorboard(self) -> Path:
        """Event files, a folder a trial."""
        return self.path / "tensorboard"

    @property
    def chief(self) -> Path:
        """A chief's name for the search."""
        return self.path / "chief.json"

    @property
    def best(self) -> Path:
        """A recipe of the best trial's options."""
        return self.path / "best.yaml"

    @property
    def ranking(self) -> Path:
        """All trials, the best first."""
        return self.path / "ranking.json"

    @property
    def final(self) -> Path:
        """Where the best trials are trained in full."""
        return self.path / "final"

    @property
    def final_report(self) -> Path:
        """What they came to."""
        return self.path / "final.json"

    def trial(self, number: int) -> Path:
        """The folder of a trial, counted from 1."""
        return self.path / "trials" / f"{number:02}"

    def results(self) -> list[TrialResult]:
        """Of the trials that have ended, in their order."""
        folders = self.path.glob("trials/*")
        results = [result for result in map(read_result, folders) if result is not None]
        return sorted(results, key=lambda result: result.number)

    @contextlib.contextmanager
    def locked(self, on_wait: Callable[[], None]) -> Iterator[int]:
        """Makes the folder if need be, and keeps other searches out of it during the block.

        Args:
            on_wait: Called when another search works there, or a trial that a killed one left behind, before waiting
                for its end.

        Yields:
            A file descriptor: a process that inherits it shares the lock.

        Raises:
            InputError: The folder can't be made.
        """
        files.require_writable(self.path, "out")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise input_error("Expected --out to name a folder that can be written", error=str(error)) from None
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)

    def is_finished(self, identity: dict[str, Any], budget: Mapping[str, Any], *, overwrite: bool) -> bool:
        """Whether the very search that is asked for stands here finished; prepares the folder where it does not.

        Args:
            identity: Of the search (`SearchPlan.identity`).
            budget: How long it is to go on; the same search may do so again.
            overwrite: Whether a search of other options may go, and one that has ended without any score. The very
                search that is asked for goes on: the same command again, with the same --overwrite, loses nothing.

        Raises:
            InputError: A search of other options or data, or a folder that is no search's.
        """
        self._sweep()
        if any(self.path.iterdir()):
            require(
                self.options.is_file(),
                "Expected --out to name a new folder or a search's",
                out=str(self.path),
                do="Choose another --out.",
            )
            ranking = json.loads(self.ranking.read_text()) if self.ranking.is_file() else None
            if not overwrite:
                self._refuse_other(identity)
            if not overwrite or (self._is_of(identity) and (ranking is None or ranking["ranking"])):
                finished = ranking is not None and ranking["budget"] == dict(budget)
                if not finished:
                    self.ranking.unlink(missing_ok=True)  # of fewer trials than there will be
                return finished
            self._clear()
        files.write_text(self.options, to_yaml(identity))
        return False

    def _sweep(self) -> None:
        """Removes what processes were writing when they were killed; the lock keeps those that live out."""
        for folder in (self.path, *self.path.glob("trials/*"), *self.path.glob("trials/*/execution-*")):
            for entry in folder.glob(".*.tmp"):
                if entry.name.startswith(tuple(f".{name}." for name in _ENTRIES | trial.ENTRIES)):
                    entry.unlink()

    def _is_of(self, asked: dict[str, Any]) -> bool:
        """Whether it is a search of these options that stands here; what can't be read is none."""
        with contextlib.suppress(InputError):
            return not self._differences(asked)
        return False

    def _differences(self, asked: dict[str, Any]) -> str:
        there = read_yaml(self.options)
        names = [name for name in {**asked, **there} if asked.get(name) != there.get(name)]
        return "; ".join(f"{name} {there.get(name)!r} there, {asked.get(name)!r} asked" for name in names)

    def _refuse_other(self, asked: dict[str, Any]) -> None:
        differences = self._differences(asked)
        require(
            not differences,
            f"Expected a search of these options in {self.path}. Differing: {differences}",
            do="Choose another --out, or replace this one with --overwrite.",
        )

    def _clear(self) -> None:
        foreign = [entry for entry in self.path.iterdir() if entry.name not in _ENTRIES]
        foreign += [entry for entry in self.path.glob("trials/*/*") if not trial.is_trials_own(entry.name)]
        require(
            not foreign,
            f"Expected only a search's files in {self.path}",
            also_there=sorted(str(entry.relative_to(self.path)) for entry in foreign),
            do="Move them, or choose another --out.",
        )
        # search.yaml goes last: without it a folder that is half cleared could not be overwritten again.
        for name in sorted(_ENTRIES, key=lambda name: name == self.options.name):
            entry = self.path / name
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
