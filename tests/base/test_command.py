import signal
import subprocess
import sys

import pytest

from base import command
from base.errors import input_error

WAITING = """
import sys, time
from base import command
def main(argv):
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("cleared", flush=True)
sys.exit(command.run(main))
"""


def test_bad_input_is_one_line_and_exit_code_2(capsys):
    def main(argv):
        raise input_error("Expected --epochs of at least 1", epochs=0, do="Give more.")

    assert command.run(main) == 2
    assert capsys.readouterr().err == "error: Expected --epochs of at least 1. Received: epochs=0. Give more.\n"


def test_a_fault_of_ours_is_exit_code_1_with_traceback(capsys):
    def main(argv):
        raise KeyError("ours")

    assert command.run(main) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_clears_up_and_gives_its_exit_code(number, code):
    process = subprocess.Popen([sys.executable, "-c", WAITING], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.communicate(timeout=20)[0] == "cleared\n"
    assert process.returncode == code


def test_output_that_nobody_reads_any_more_ends_the_command_without_a_traceback():
    code = "import sys; from base import command; sys.exit(command.run(lambda argv: print('x\\n' * 10**6)))"
    reader = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert reader.stdout.readline() == "x\n"
    reader.stdout.close()
    assert reader.wait(60) == command.PIPE_CLOSED
    assert reader.stderr.read() == ""
