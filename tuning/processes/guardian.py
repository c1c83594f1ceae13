"""Runs one command, and sees to it that nothing of it outlives whoever asked for it. A script, without imports of ours.

    guardian.py LINE GRACE CORES COMMAND...

LINE is the number of a connected socket. As long as its other end is open and silent, the command runs. A byte, or the
end (who holds it was killed, be it by SIGKILL), and the command is told by SIGTERM, so that it can save; after GRACE
seconds, or at the end of the line after a byte, it is killed. SIGTERM, SIGINT and SIGHUP to this process count as a
byte. CORES, as "0,3", are those that the command may use; empty: all.

When the command has ended, so have all processes that it started, and these, whatever session they went to: orphans
come to this process (PR_SET_CHILD_SUBREAPER). When this process is killed the command goes with it (PR_SET_PDEATHSIG,
which acts when the thread ends that forked: there is but one). Nobody is signalled by number but children that have not
been waited for: those numbers can't be another's. At the end one line of JSON is written to LINE.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_STATE, _PARENT, _SESSION = 0, 1, 3  # columns of /proc/N/stat after the name
_LIKELIER = 500  # of -1000 to 1000: where memory runs out a trial is to go, and not its search


def main(argv: list[str]) -> None:
    """Runs the command, and writes how it ended."""
    line, grace, cores, *command = argv
    line = socket.socket(fileno=int(line))
    line.set_inheritable(False)
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    handled = [number for number in _STOPPING if signal.getsignal(number) != signal.SIG_IGN]
    woken = _wake_on({signal.SIGCHLD, *handled})
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    started = time.monotonic()
    pid = _fork(command, handled)
    _watch(pid, line, woken, float(grace))
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    _, status, used = os.wait4(pid, 0)
    seconds = time.monotonic() - started
    _end_orphans()
    report = {
        "exit_code": os.waitstatus_to_exitcode(status),
        "seconds": seconds,
        "memory": used.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }
    with contextlib.suppress(OSError):  # nobody listens any more
        line.sendall(json.dumps(report).encode())


def end_session(leader: int, seconds: float) -> None:
    """Kills all processes of a session, for whoever has lost a guardian; does nothing where there is no /proc.

    Args:
        leader: The process that the session is named by. It has died, and has not been waited for, so its number is
            its own.
        seconds: After that long what is still there is left, hanging in the kernel.
    """
    until = time.monotonic() + seconds
    while others := [pid for pid in _processes(_SESSION, leader) if pid != leader]:
        for pid in others:
            with contextlib.suppress(OSError):  # it is gone
                descriptor = os.pidfd_open(pid)
                try:
                    if os.getsid(pid) == leader:  # asked now: the number may have become another's before
                        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                finally:
                    os.close(descriptor)
        if time.monotonic() >= until:
            return
        time.sleep(0.01)


def _wake_on(numbers: set[int]) -> int:
    """A file descriptor that gives the number of each of these signals that comes."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for number in numbers:
        signal.signal(number, lambda *_: None)
    return reader


def _fork(command: list[str], handled: list[int]) -> int:
    """Starts the command in a process group of its own, with these signals' default actions."""
    guardian = os.getpid()
    # Until it is the command, a signal that comes to the new process must wait, or our handler would swallow it.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, handled)
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        with contextlib.suppress(OSError):  # it was faster
            os.setpgid(pid, pid)
        return pid
    try:
        os.setpgid(0, 0)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guardian:  # it died before it was asked to take us with it
            os._exit(1)
        for number in (*handled, signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores the last two; who comes may not
            signal.signal(number, signal.SIG_DFL)
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(_LIKELIER))
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.execvp(command[0], command)
    except OSError as error:
        print(f"error: Expected a command that can be run. Received: {command[0]!r}, {error.strerror}.", flush=True)
    finally:
        os._exit(127)


def _watch(pid: int, line: socket.socket, woken: int, grace: float) -> None:
    """Returns when the command has ended, by itself or by us; it has not been waited for then."""
    poll = select.poll()
    poll.register(line, select.POLLIN)
    poll.register(woken, select.POLLIN)
    told, deadline = False, None
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        left = None if deadline is None else max(0.0, 1000 * (deadline - time.monotonic()))
        tell = False
        for descriptor, _ in poll.poll(left):
            if descriptor == woken:
                tell = tell or any(number != signal.SIGCHLD for number in os.read(woken, 100))
                continue
            word = line.recv(1)
            if not word:
                poll.unregister(line)
                deadline = time.monotonic() if told else deadline
            tell = True
        if tell and not told:
            told, deadline = True, time.monotonic() + grace
            os.kill(pid, signal.SIGTERM)
        if deadline is not None and time.monotonic() >= deadline:
            os.killpg(pid, signal.SIGKILL)
            deadline = None


def _end_orphans() -> None:
    """Ends every process that has come to this one, and those that then come."""
    with contextlib.suppress(ChildProcessError):  # there is none, or no other
        while True:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                for child in _processes(_PARENT, os.getpid()):
                    os.kill(child, signal.SIGKILL)
                os.waitpid(-1, 0)


def _processes(column: int, value: int) -> Iterator[int]:
    """Numbers of the living processes that have `value` in that column of /proc/N/stat, after the name."""
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if entry.isdecimal():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", "rb") as file:
                columns = file.read().rpartition(b")")[2].split()
                if int(columns[column]) == value and columns[_STATE] not in (b"Z", b"X"):
                    yield int(entry)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
