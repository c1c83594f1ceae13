"""Starts, watches and ends the processes of trials, one a slot. Knows no oracle, and nothing of training.

Each command runs under a guardian (`guardian.py`), a small process that is tied to this one by a socket: it ends the
command, and all that the command started, when it is asked to, or when this process is gone, whatever way it went.
"""

import collections
import contextlib
import dataclasses
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from base.command import INTERRUPTED, START_AGAIN, TERMINATED
from base.signals import held_back
from tuning.processes import guardian
from tuning.processes.reasons import OUT_OF_MEMORY, memory_kills, reason_of
from tuning.processes.slots import Slot

SECONDS_TO_SAVE = 30.0
_SLACK = 5.0  # seconds a guardian takes at most to kill what would not end


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ended:
    """How a trial's process ended."""

    number: int  # of the trial
    slot: Slot
    exit_code: int  # below 0: ended by the signal of that number
    reason: str  # "" where `exit_code` is 0
    stopped: bool  # we asked for it, and so it ended
    seconds: float  # that the process was there
    memory: int | None  # bytes, the most that it held resident; None: not known

    @property
    def goes_on(self) -> bool:
        """Whether the same command again goes on, since nothing was wrong with it: it asked for that, or a signal ended
        it that was not ours, and not the system's for want of memory.
        """
        told = self.exit_code in (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, INTERRUPTED, TERMINATED)
        return self.exit_code == START_AGAIN or (told and not self.stopped and OUT_OF_MEMORY not in self.reason)


@dataclasses.dataclass(kw_only=True)
class _Running:
    slot: Slot
    log: Path
    log_start: int  # bytes that stood in the log before
    asked: float
    memory_kills: int | None
    guardian: subprocess.Popen | None = None
    line: socket.socket | None = None
    stopped: str = ""  # why it was asked to end
    deadline: float | None = None  # when its guardian must have ended it


class Supervisor:
    """The processes of the trials that run now; as a context manager, none is left at its end.

    To be used by one thread.

    Args:
        slots: Where trials can run at the same time.
        seconds_to_save: From a trial's being asked to end until it is killed.
        keep_open: File descriptors that every process of a trial holds on to, such as a lock.

    Example:
        >>> with Supervisor([Slot(number=1)]) as supervisor:  # doctest: +SKIP
        ...     supervisor.start(supervisor.free[0], 7, ["sleep", "1"], Path("log.txt"))
        ...     supervisor.wait().exit_code
        0
    """

    def __init__(
        self, slots: Sequence[Slot], *, seconds_to_save: float = SECONDS_TO_SAVE, keep_open: Sequence[int] = ()
    ) -> None:
        self._slots, self._grace, self._keep_open = tuple(slots), seconds_to_save, tuple(keep_open)
        self._running: dict[int, _Running] = {}
        self._ended: collections.deque[Ended] = collections.deque()
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.end()
        finally:
            self._selector.close()

    @property
    def free(self) -> list[Slot]:
        """The slots in which no trial runs."""
        taken = {running.slot.number for running in self._running.values()}
        return [slot for slot in self._slots if slot.number not in taken]

    def start(self, slot: Slot, number: int, command: Sequence[str], log: Path) -> None:
        """Starts a trial.

        Args:
            slot: A free one.
            number: Of the trial; none of that number runs.
            command: With its arguments.
            log: Its output is added to that file.

        Raises:
            ValueError: The slot is not free, or the trial runs already.
            OSError: No process, or no log, can be made.
        """
        asked = time.monotonic()
        if slot not in self.free or number in self._running:
            raise ValueError(f"Expected a free slot and a trial that does not run. Received: {slot=}, {number=}.")
        with log.open("ab") as output, held_back():  # between fork and assignment nobody would know the process
            running = _Running(slot=slot, log=log, log_start=output.tell(), asked=asked, memory_kills=memory_kills())
            running.guardian, running.line = self._guarded(slot, command, output)
            self._running[number] = running
            self._selector.register(running.line, selectors.EVENT_READ, number)

    def wait(self, timeout: float | None = None) -> Ended | None:
        """The next trial that has ended; None when none has after `timeout` seconds.

        Raises:
            ValueError: None runs.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while not self._ended:
            if not self._running:
                raise ValueError("Expected a running trial to wait for. Start one first.")
            limits = [limit for limit in (until, *(r.deadline for r in self._running.values())) if limit is not None]
            ready = self._selector.select(max(0.0, min(limits) - time.monotonic()) if limits else None)
            if ready:
                with held_back():  # or an interruption would lose what was read
                    self._ended.append(self._collect(ready[0][0].data))
            self._kill_late()
            if not self._ended and until is not None and time.monotonic() >= until:
                return None
        return self._ended.popleft()

    def stop(self, number: int, reason: str) -> None:
        """Asks a running trial to save and end; it is killed when that takes too long. `wait` gives it then.

        Args:
            number: Of the trial; nothing is done where it does not run any more.
            reason: Why; becomes `Ended.reason`, unless it was ready first.
        """
        running = self._running.get(number)
        if running is None or running.stopped:
            return
        running.stopped = reason
        running.deadline = time.monotonic() + self._grace + _SLACK
        with contextlib.suppress(OSError):  # its guardian has gone
            running.line.send(b"e")

    def end(self) -> list[Ended]:
        """Ends all: asks every running trial to save, waits for them, kills those that are too slow.

        A second interruption kills at once, and so does any other exception.

        Returns:
            Those that had ended and were not asked for, and those that end now.
        """
        ended = []
        try:
            for number in self._running:
                self.stop(number, "the search was ended")
            while self._running or self._ended:
                ended.append(self.wait())
        finally:
            for running in self._running.values():
                self._selector.unregister(running.line)
                running.line.close()
            for running in self._running.values():
                _wait_or_kill(running.guardian)
            self._running.clear()
        return ended

    def _guarded(self, slot: Slot, command: Sequence[str], output: BinaryIO) -> tuple[subprocess.Popen, socket.socket]:
        """A guardian that runs the command, and our end of its line."""
        ours, theirs = socket.socketpair()
        arguments = [theirs.fileno(), self._grace, ",".join(map(str, slot.cores)), *command]
        with theirs:
            try:
                process = subprocess.Popen(
                    [sys.executable, "-I", "-S", guardian.__file__, *map(str, arguments)],
                    # Unbuffered, so that its lines stand in their order: the last one says what was wrong.
                    env={**os.environ, "PYTHONUNBUFFERED": "1", **slot.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=(theirs.fileno(), *self._keep_open),
                    start_new_session=True,  # Ctrl-C is ours: trials are told once, by their guardians
                )
            except BaseException:
                ours.close()
                raise
        return process, ours

    def _collect(self, number: int) -> Ended:
        """The end of a trial whose guardian has said so, or is gone."""
        running = self._running[number]
        said = _read(running.line)
        if not said:  # it was killed: what it guarded may live
            guardian.end_session(running.guardian.pid, _SLACK)
        exit_code = running.guardian.wait()
        report: dict[str, Any] = json.loads(said) if said else {"exit_code": exit_code}
        self._selector.unregister(running.line)
        running.line.close()
        del self._running[number]
        exit_code, now = report["exit_code"], time.monotonic()
        stopped = bool(running.stopped and exit_code)
        reason = reason_of(exit_code, running.log, running.log_start, running.memory_kills)
        if OUT_OF_MEMORY in reason:  # that one is explained: another's end is not to be put down to it
            for other in self._running.values():
                other.memory_kills = None if other.memory_kills is None else other.memory_kills + 1
        return Ended(
            number=number,
            slot=running.slot,
            exit_code=exit_code,
            reason=running.stopped if stopped else reason,
            stopped=stopped,
            seconds=report.get("seconds", now - running.asked),
            memory=report.get("memory"),
        )

    def _kill_late(self) -> None:
        """Kills the guardians that have not ended their trials in time: somebody holds them."""
        for running in self._running.values():
            if running.deadline is not None and time.monotonic() >= running.deadline:
                running.guardian.kill()
                running.deadline = None


def _read(line: socket.socket) -> bytes:
    """All that comes until the other end is closed."""
    parts = []
    with contextlib.suppress(ConnectionResetError):  # it was closed before what we had sent was read
        while part := line.recv(4096):
            parts.append(part)
    return b"".join(parts)


def _wait_or_kill(process: subprocess.Popen) -> None:
    try:
        process.wait(_SLACK)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
