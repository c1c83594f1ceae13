"""The journal: the oracle's proposals and the trials' ends on disk, in the order in which the oracle saw them.

    {"proposed": {"number": 3, "values": {"filters": 32}, "epochs": null, "parent": null}}
    {"ended": {"number": 3, "score": 0.51, "reason": ""}}

A line is on disk before anything is done because of it. From the lines a fresh oracle of the same seed comes to know
what the last one knew when its process died, whatever moment that was. Where proposals are computed from scores
(`algorithms.Bayesian`), it takes the lines' values: another processor may compute another last bit.
"""

import dataclasses
import json
import math
import os
from pathlib import Path
from typing import Any, Protocol

from base import files
from base.errors import input_error, require
from tuning.oracles.proposal import Proposal, Wait


class Proposes(Protocol):
    """What a journal is kept for: `tuning.oracles.oracle.Oracle`."""

    def propose(self) -> Proposal | Wait | None:
        """The next trial, wait, or no more."""

    def repeat(self, proposal: Proposal) -> Proposal | Wait | None:
        """The next trial, which was proposed before, maybe under another bound: as it was, or what is proposed now."""

    def tell(self, number: int, score: float | None, reason: str) -> None:
        """How a trial ended."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ended:
    """How a trial ended: with the objective as `score`, or failed (None) for `reason`."""

    number: int
    score: float | None
    reason: str


class Journal:
    """An oracle that remembers: called like one, and goes on where the last process stopped.

    For one process at a time, which the search's lock sees to.

    Args:
        path: Of the file; made where there is none. A line that a dying process left unfinished is removed.
        oracle: A fresh one. It is taken through what the file holds.

    Raises:
        InputError: The oracle proposes otherwise than it did, or the file is damaged.
    """

    def __init__(self, path: Path, oracle: Proposes) -> None:
        self._path, self._oracle = Path(path), oracle
        self._proposed: dict[int, Proposal] = {}
        self._ended: dict[int, Ended] = {}
        for place, event in enumerate(read_events(self._path, mend=True), start=1):
            self._replay(place, event)

    @property
    def running(self) -> list[Proposal]:
        """Trials that were proposed and have not ended: after a restart, those to go on with."""
        return [proposal for number, proposal in self._proposed.items() if number not in self._ended]

    @property
    def ended(self) -> list[Ended]:
        """Trials that have ended, in the order of their ends."""
        return list(self._ended.values())

    @property
    def proposed(self) -> list[Proposal]:
        """All trials, in their order."""
        return list(self._proposed.values())

    def propose(self) -> Proposal | Wait | None:
        """As the oracle's; what it proposes is written before it is returned."""
        proposal = self._oracle.propose()
        if isinstance(proposal, Proposal):
            self._append(proposal)
            proposal = _event(_line(proposal), "")  # the same types as after a restart: JSON knows no tuples
            self._proposed[proposal.number] = proposal
        return proposal

    def tell(self, number: int, score: float | None, reason: str = "") -> None:
        """As the oracle's; it is written before the oracle hears it."""
        require(
            number in self._proposed and number not in self._ended,
            "Expected the number of a running trial",
            number=number,
        )
        if score is not None and not math.isfinite(score):
            score, reason = None, reason or f"the objective is {score}"
        ended = Ended(number=number, score=score, reason=reason)
        self._append(ended)
        self._ended[number] = ended
        self._oracle.tell(number, score, reason)

    def _append(self, event: Proposal | Ended) -> None:
        is_new = not self._path.exists()
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(event))
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            files.sync(self._path.parent)

    def _replay(self, place: int, event: Proposal | Ended) -> None:
        where = f"line {place} of {self._path}"
        if isinstance(event, Ended):
            known = event.number in self._proposed and event.number not in self._ended
            require(known, f"Expected the end of a running trial in {where}", number=event.number, do=_REPLACE)
            self._ended[event.number] = event
            self._oracle.tell(event.number, event.score, event.reason)
            return
        proposal = self._oracle.repeat(event)
        require(
            isinstance(proposal, Proposal) and _line(proposal) == _line(event),
            f"Expected the oracle to propose what it proposed before, in {where}: {event}",
            proposed=proposal,
            do=f"Other versions of KerasTuner may draw otherwise: go on with that of the search's start. {_REPLACE}",
        )
        self._proposed[event.number] = event


_REPLACE = "Or begin anew in another --out."


def read_events(path: Path, *, mend: bool = False) -> list[Proposal | Ended]:
    """The events that a journal holds, in their order; without an unfinished last line, which `mend` removes.

    Raises:
        InputError: A finished line that is no event.
    """
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    if mend and len(whole) < len(content):
        os.truncate(path, len(whole))
        files.sync(path)
    lines = whole.decode("utf-8", errors="replace").splitlines()
    return [_event(line, f"line {place} of {path}") for place, line in enumerate(lines, start=1)]


def _event(line: str, where: str) -> Proposal | Ended:
    try:
        ((kind, fields),) = json.loads(line).items()
        return _KINDS[kind](**fields)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise input_error(f"Expected an event in {where}", line=line[:200], do=_REPLACE) from None


_KINDS: dict[str, Any] = {"proposed": Proposal, "ended": Ended}


def _line(event: Proposal | Ended) -> str:
    kind = next(name for name, cls in _KINDS.items() if isinstance(event, cls))
    return json.dumps({kind: dataclasses.asdict(event)}, allow_nan=False) + "\n"
