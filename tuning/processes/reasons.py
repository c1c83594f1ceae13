"""Why a process ended: from its exit code, its log, and what the kernel counts."""

import contextlib
import os
import signal
from pathlib import Path

OUT_OF_MEMORY = "out of memory"
_TAIL = 65_536  # bytes of a log that are searched for its last line


def reason_of(exit_code: int, log: Path, log_start: int = 0, memory_kills_before: int | None = None) -> str:
    """One line, "" where it ended as it should.

    Args:
        exit_code: Below 0: the number of the signal that ended it.
        log: Its output, of which the last line says what was wrong.
        log_start: Bytes that stood in the log before.
        memory_kills_before: What `memory_kills` said when it started.
    """
    if exit_code == 0:
        return ""
    if exit_code > 0:
        return _last_line(log, log_start).removeprefix("error: ") or f"exit code {exit_code}"
    number = -exit_code
    reason = f"ended by {signal.Signals(number).name if number in set(signal.Signals) else f'signal {number}'}"
    now = memory_kills()
    if number == signal.SIGKILL and None not in (now, memory_kills_before) and now > memory_kills_before:
        return f"{reason}: {OUT_OF_MEMORY}, as it seems, since the system has ended a process for want of it meanwhile"
    return reason


def memory_kills() -> int | None:
    """Processes that the kernel has ended for want of memory: of this process' control group, and those within it,
    where that counts them, else of the whole machine since it started; None where nothing does.
    """
    with contextlib.suppress(OSError, ValueError, StopIteration, KeyError):
        group = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
        return _counted(Path("/sys/fs/cgroup", group.removeprefix("0::").strip("/"), "memory.events"))
    with contextlib.suppress(OSError, ValueError, KeyError):
        return _counted(Path("/proc/vmstat"))
    return None


def _counted(path: Path) -> int:
    """The number after the name `oom_kill`."""
    fields = dict(line.split() for line in path.read_text(encoding="ascii").splitlines())
    return int(fields["oom_kill"])


def _last_line(log: Path, start: int) -> str:
    """The last line that is not empty; "" where there is none near the end."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(start, size - _TAIL))
        lines = file.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
