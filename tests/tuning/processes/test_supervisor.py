"""Real processes, really killed; what is left of them is looked for in /proc."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.processes import wait_until
from tuning.processes import reasons
from tuning.processes import supervisor as supervisor_module
from tuning.processes.reasons import memory_kills, reason_of
from tuning.processes.slots import Slot
from tuning.processes.supervisor import Ended, Supervisor

ROOT = str(Path(__file__).parents[3])
MARK = "MILLRACE_TEST_OF"  # every process of a test has its folder in there
PYTHON = [sys.executable, "-S", "-c"]
# Each says "ready" when it is to be believed.
SAVES = """
    import pathlib, signal, sys, time
    def save(*_):
        with open("FOLDER/saved", "a") as file:
            file.write("saved\\n")
        sys.exit(143)
    signal.signal(signal.SIGTERM, save)
    print("ready", flush=True)
    time.sleep(600)
"""
IGNORES = """
    import signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ready", flush=True)
    time.sleep(600)
"""
BUSY = """
    import itertools, signal
    signal.signal(signal.SIGTERM, lambda *_: None)
    print("ready", flush=True)
    sum(itertools.repeat(1))
"""
STOPPED = """
    import os, signal
    print("ready", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
"""
# Its helper goes to a session of its own, loses its parent, has a helper too, and ignores what it can.
HELPED = """
    import os, signal, time
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork():
            os._exit(0)
        os.fork()
        time.sleep(600)
    os.wait()
    print("ready", flush=True)
    WHILE
"""
SEARCH = """
    import json, pathlib, sys
    from tuning.processes import supervisor as module
    from tuning.processes.slots import Slot
    from tuning.processes.supervisor import Supervisor
    from base import command
    module._SLACK = 600  # the guardians are to do it, without being killed
    def main(_):
        commands = json.loads(sys.argv[1])
        slots = [Slot(number=n) for n in range(len(commands))]
        with Supervisor(slots, seconds_to_save=float(sys.argv[2])) as supervisor:
            for number, (slot, command) in enumerate(zip(slots, commands)):
                supervisor.start(slot, number, command, pathlib.Path(f"FOLDER/{number}.log"))
            supervisor.wait()
    sys.exit(command.run(main))
"""


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path):
    yield
    left = processes(tmp_path)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert left == []


def code(text: str, folder: Path, **replaced: str) -> list[str]:
    for name, value in {"FOLDER": str(folder), **replaced}.items():
        text = text.replace(name, value)
    return [*PYTHON, textwrap.dedent(text)]


def processes(folder: Path) -> list[int]:
    """Those that the test has started and that live; a zombie has no environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"{MARK}={folder}".encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def ready(*logs: Path) -> None:
    wait_until(lambda: all(log.is_file() and "ready" in log.read_text() for log in logs))


def slot(folder: Path, number: int = 1, **others) -> Slot:
    return Slot(number=number, environment={MARK: str(folder)}, **others)


def ended(folder: Path, command: list[str], log: Path | None = None) -> Ended:
    with Supervisor([slot(folder)]) as supervisor:
        supervisor.start(supervisor.free[0], 7, command, log or folder / "log.txt")
        return supervisor.wait()


@pytest.mark.parametrize(
    ("text", "exit_code", "reason"),
    [
        ("print('all is well')", 0, ""),
        ("print('working'); import sys; sys.exit('error: Expected fewer --blocks.')", 1, "Expected fewer --blocks."),
        ("import os; os.kill(os.getpid(), 11)", -11, "ended by SIGSEGV"),
        ("import os; os.kill(os.getpid(), 9)", -9, "ended by SIGKILL"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero"),
        ("print(' '); raise SystemExit(75)", 75, "exit code 75"),
    ],
)
def test_an_end_has_its_exit_code_and_reason(tmp_path, text, exit_code, reason):
    end = ended(tmp_path, [*PYTHON, text])
    assert (end.number, end.exit_code, end.reason, end.stopped) == (7, exit_code, reason, False)
    assert end.goes_on == (exit_code in (75, -9))


def test_a_command_that_is_not_there_is_a_reason_too(tmp_path):
    end = ended(tmp_path, ["/nowhere/train"])
    assert (end.exit_code, end.reason) == (
        127,
        "Expected a command that can be run. Received: '/nowhere/train', No such file or directory.",
    )


def test_a_log_keeps_what_stood_there_and_the_reason_is_of_this_start(tmp_path):
    (tmp_path / "log.txt").write_text("error: of the start before\n")
    assert ended(tmp_path, [*PYTHON, "raise SystemExit(3)"]).reason == "exit code 3"
    assert (tmp_path / "log.txt").read_text() == "error: of the start before\n"


def test_a_trial_has_its_slot_s_environment_and_cores_and_the_lock(tmp_path):
    core = min(os.sched_getaffinity(0))
    said = "import os; print([os.environ['CUDA_VISIBLE_DEVICES'], os.sched_getaffinity(0), os.path.realpath(F)])"
    with (tmp_path / "lock").open("w") as lock:
        place = Slot(number=1, environment={"CUDA_VISIBLE_DEVICES": "5,6"}, cores=(core,))
        with Supervisor([place], keep_open=[lock.fileno()]) as supervisor:
            command = [*PYTHON, said.replace("F", f"'/proc/self/fd/{lock.fileno()}'")]
            supervisor.start(place, 1, command, tmp_path / "log.txt")
            assert supervisor.wait().exit_code == 0
    assert (tmp_path / "log.txt").read_text() == f"{['5,6', {core}, str(tmp_path / 'lock')]}\n"


def test_a_kill_while_the_system_lacks_memory_says_so(tmp_path):
    kills = memory_kills()
    assert kills is not None
    assert reason_of(-9, tmp_path / "log.txt", 0, kills) == "ended by SIGKILL"
    assert reason_of(-9, tmp_path / "log.txt", 0, kills - 1).startswith("ended by SIGKILL: out of memory, as it seems")
    assert reason_of(-6, tmp_path / "log.txt", 0, kills - 1) == "ended by SIGABRT"


def test_what_the_system_ended_for_want_of_memory_is_not_put_down_to_a_later_kill(tmp_path, monkeypatch):
    counted = 7
    for module in (supervisor_module, reasons):
        monkeypatch.setattr(module, "memory_kills", lambda: counted)
    dies = "import os, time\nwhile not os.path.exists('FOLDER/NUMBER'): time.sleep(0.01)\nos.kill(os.getpid(), 9)"
    with Supervisor([slot(tmp_path, number) for number in (1, 2)]) as supervisor:
        for number, place in enumerate(supervisor.free, start=1):
            supervisor.start(place, number, code(dies, tmp_path, NUMBER=str(number)), tmp_path / "log.txt")
        counted += 1  # the system's doing
        (tmp_path / "1").touch()
        found = [supervisor.wait()]
        (tmp_path / "2").touch()  # somebody's
        found.append(supervisor.wait())
    assert [(ended.number, ended.goes_on) for ended in found] == [(1, False), (2, True)]


def test_there_is_one_trial_a_slot_and_who_ends_first_is_given_first(tmp_path):
    with Supervisor([slot(tmp_path, number) for number in (1, 2)]) as supervisor:
        first, second = supervisor.free
        supervisor.start(first, 1, code(SAVES, tmp_path), tmp_path / "1.log")
        assert supervisor.free == [second]
        with pytest.raises(ValueError, match="free slot"):
            supervisor.start(first, 2, [*PYTHON, "pass"], tmp_path / "2.log")
        supervisor.start(second, 2, [*PYTHON, "pass"], tmp_path / "2.log")
        assert supervisor.free == []
        end = supervisor.wait()
        assert (end.number, end.slot, supervisor.free) == (2, second, [second])
        assert supervisor.wait(timeout=0.01) is None


def test_a_trial_that_is_stopped_saves_first(tmp_path):
    with Supervisor([slot(tmp_path)]) as supervisor:
        supervisor.start(supervisor.free[0], 1, code(SAVES, tmp_path), tmp_path / "log.txt")
        ready(tmp_path / "log.txt")
        supervisor.stop(1, "hopeless")
        supervisor.stop(1, "another reason")
        end = supervisor.wait()
        supervisor.stop(1, "it is gone")
    assert (end.exit_code, end.reason, end.stopped) == (143, "hopeless", True)
    assert (tmp_path / "saved").read_text() == "saved\n"


def test_a_trial_that_is_stopped_at_once_ends_at_once(tmp_path):
    with Supervisor([slot(tmp_path)], seconds_to_save=10) as supervisor:
        for number in range(20):
            supervisor.start(supervisor.free[0], number, ["sleep", "600"], tmp_path / "log.txt")
            supervisor.stop(number, "hopeless")
            assert supervisor.wait().exit_code == -signal.SIGTERM


@pytest.mark.parametrize("text", [IGNORES, BUSY, STOPPED], ids=["ignoring", "busy", "stopped"])
def test_a_trial_that_does_not_end_is_killed(tmp_path, text):
    with Supervisor([slot(tmp_path)], seconds_to_save=0.2) as supervisor:
        supervisor.start(supervisor.free[0], 1, code(text, tmp_path), tmp_path / "log.txt")
        ready(tmp_path / "log.txt")
        supervisor.stop(1, "hopeless")
        end = supervisor.wait()
        assert (end.exit_code, end.reason, end.stopped) == (-9, "hopeless", True)
        assert processes(tmp_path) == []


@pytest.mark.parametrize(("what", "exit_code"), [("os._exit(0)", 0), ("os.kill(os.getpid(), 9)", -9)])
def test_helpers_of_a_trial_end_with_it(tmp_path, what, exit_code):
    with Supervisor([slot(tmp_path)]) as supervisor:
        supervisor.start(supervisor.free[0], 1, code(HELPED, tmp_path, WHILE=what), tmp_path / "log.txt")
        assert supervisor.wait().exit_code == exit_code
        assert "ready" in (tmp_path / "log.txt").read_text()
        assert processes(tmp_path) == []


def test_when_its_guardian_is_killed_a_trial_has_failed_and_nothing_of_it_is_left(tmp_path):
    with Supervisor([slot(tmp_path)]) as supervisor:
        supervisor.start(
            supervisor.free[0], 1, code(HELPED, tmp_path, WHILE="os.fork(); time.sleep(600)"), tmp_path / "1"
        )
        ready(tmp_path / "1")
        wait_until(lambda: len(processes(tmp_path)) == 5)  # the guardian, the trial, its helper, two that left it
        own = [pid for pid in processes(tmp_path) if os.getsid(pid) == pid and "guardian" in cmdline(pid)]
        assert len(own) == 1
        daemons = [pid for pid in processes(tmp_path) if os.getsid(pid) != own[0]]
        os.kill(own[0], signal.SIGKILL)
        end = supervisor.wait()
        assert (end.exit_code, end.reason) == (-9, "ended by SIGKILL")
        wait_until(lambda: set(processes(tmp_path)) <= set(daemons))
        for pid in daemons:  # in a session of their own, with nobody left who knows them
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: processes(tmp_path) == [])
        supervisor.start(supervisor.free[0], 2, [*PYTHON, "pass"], tmp_path / "2")
        assert supervisor.wait().exit_code == 0


def test_a_guardian_that_somebody_holds_does_not_hold_the_search(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor_module, "_SLACK", 0.2)
    with Supervisor([slot(tmp_path)], seconds_to_save=0.2) as supervisor:
        supervisor.start(supervisor.free[0], 1, code(SAVES, tmp_path), tmp_path / "1.log")
        ready(tmp_path / "1.log")
        held = next(pid for pid in processes(tmp_path) if "guardian" in cmdline(pid))
        os.kill(held, signal.SIGSTOP)
        supervisor.stop(1, "hopeless")
        assert supervisor.wait().reason == "hopeless"
        wait_until(lambda: processes(tmp_path) == [])


def cmdline(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def start_search(folder: Path, commands: list[list[str]], seconds_to_save: float) -> subprocess.Popen:
    (folder / "search.py").write_text(textwrap.dedent(SEARCH.replace("FOLDER", str(folder))))
    search = subprocess.Popen(
        [sys.executable, str(folder / "search.py"), json.dumps(commands), str(seconds_to_save)],
        env={**os.environ, MARK: str(folder), "PYTHONPATH": ROOT},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    ready(*(folder / f"{number}.log" for number in range(len(commands))))
    return search


ALL = [(SAVES, ""), (IGNORES, ""), (STOPPED, ""), (HELPED, "os.fork(); time.sleep(600)")]


def test_kill_9_of_the_search_lets_its_trials_save_and_leaves_no_process(tmp_path):
    search = start_search(tmp_path, [code(text, tmp_path, WHILE=rest) for text, rest in ALL], 0.5)
    wait_until(lambda: len(processes(tmp_path)) == 12)  # the search, four guardians, four trials, three helpers
    search.kill()
    wait_until(lambda: processes(tmp_path) == [])
    assert (tmp_path / "saved").read_text() == "saved\n"
    search.communicate()


def test_kill_9_of_the_search_and_of_all_guardians_takes_the_trials_along(tmp_path):
    search = start_search(tmp_path, [code(text, tmp_path) for text in (SAVES, IGNORES, STOPPED)], 600)
    guardians = [pid for pid in processes(tmp_path) if "guardian" in cmdline(pid)]
    assert len(guardians) == 3
    for pid in (search.pid, *guardians):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: processes(tmp_path) == [])
    search.communicate()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_search_tells_its_trials_once_and_leaves_no_process(tmp_path, number, status):
    search = start_search(tmp_path, [code(text, tmp_path, WHILE=rest) for text, rest in ALL], 0.5)
    os.killpg(search.pid, number)  # as Ctrl-C in a terminal
    assert search.communicate()[1].count("\n") == 1
    assert search.returncode == status
    assert processes(tmp_path) == []
    assert (tmp_path / "saved").read_text() == "saved\n"


def test_a_second_interruption_kills_at_once(tmp_path):
    search = start_search(tmp_path, [code(SAVES, tmp_path), code(IGNORES, tmp_path)], 600)
    search.send_signal(signal.SIGINT)
    wait_until((tmp_path / "saved").is_file)
    search.send_signal(signal.SIGINT)
    search.communicate(timeout=30)
    assert search.returncode == 130
    assert processes(tmp_path) == []


def test_an_exception_of_the_search_ends_its_trials_and_ends_that_were_not_asked_for_are_given(tmp_path):
    with (
        pytest.raises(ZeroDivisionError),
        Supervisor([slot(tmp_path, 1), slot(tmp_path, 2)], seconds_to_save=0.5) as supervisor,
    ):
        supervisor.start(supervisor.free[0], 1, code(SAVES, tmp_path), tmp_path / "1.log")
        supervisor.start(supervisor.free[0], 2, [*PYTHON, "pass"], tmp_path / "2.log")
        ready(tmp_path / "1.log")
        wait_until(lambda: len(processes(tmp_path)) == 2)
        ends = {end.number: (end.exit_code, end.stopped) for end in supervisor.end()}
        assert ends == {1: (143, True), 2: (0, False)}
        supervisor.start(supervisor.free[0], 3, code(IGNORES, tmp_path), tmp_path / "3.log")
        1 / 0  # noqa: B018
    assert processes(tmp_path) == []


# In a process of its own: whatever another test has left running there would be counted, too.
TWO_HUNDRED = """
    import os, sys
    from pathlib import Path
    from tuning.processes.slots import Slot
    from tuning.processes.supervisor import Supervisor
    log = Path(sys.argv[1]) / "log.txt"
    with Supervisor([Slot(number=1, environment={}), Slot(number=2, environment={})]) as supervisor:
        for number in range(221):
            if number in (20, 220):
                print(Path("/proc/self/statm").read_text().split()[1], len(os.listdir("/proc/self/fd")))
            if not supervisor.free:
                assert supervisor.wait().exit_code == 0
            supervisor.start(supervisor.free[0], number, ["true"], log)
"""


@pytest.mark.slow
def test_two_hundred_trials_leave_no_memory_and_no_descriptor_behind(tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(TWO_HUNDRED), str(tmp_path)]
    said = subprocess.run(command, env={**os.environ, "PYTHONPATH": ROOT}, capture_output=True, text=True, check=True)
    (pages, descriptors), (later, still) = ([int(n) for n in line.split()] for line in said.stdout.splitlines())
    assert still == descriptors
    assert later - pages < 32  # of 4 KiB: 2 KB a trial would be more
