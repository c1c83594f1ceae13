"""Real processes, which only pretend to build models."""

import os
import sys
import textwrap

import pytest

from tuning.sizes.check import Size
from tuning.sizes.process import SizeProcess

# `blocks` says what it does; it answers with its own number as the parameters.
SERVER = """
    import json, os, sys, time
    for line in sys.stdin:
        blocks = json.loads(line)["blocks"]
        if blocks == 2:
            os.kill(os.getpid(), 9)
        if blocks == 3:
            time.sleep(1000)
        answers = {4: {"error": "Expected fewer --blocks."}, 5: {"fault": "ValueError: odd"}}
        print(json.dumps(answers.get(blocks, {"parameters": os.getpid(), "memory": 7})), flush=True)
"""


@pytest.fixture
def started(tmp_path):
    script, warnings = tmp_path / "server.py", []
    script.write_text(textwrap.dedent(SERVER))

    def start(**how):
        return SizeProcess([sys.executable, str(script)], warnings.append, **how)

    return start, warnings


def is_there(pid):
    return os.path.exists(f"/proc/{pid}")


def test_one_process_answers_until_it_is_exchanged_and_none_is_left(started):
    start, warnings = started
    with start(models=3) as process:
        answers = [process.ask({"blocks": blocks}) for blocks in (1, 4, 1, 1)]
        first, refused, same, other = answers
        assert first == same != other and first.memory == 7
        assert refused == Size(error="Expected fewer --blocks.")
        assert not is_there(first.parameters) and is_there(other.parameters)
    assert not is_there(other.parameters) and warnings == []


@pytest.mark.parametrize(
    ("blocks", "why"), [(2, "its process ended with -9"), (3, "no answer within 3 s"), (5, "ValueError: odd")]
)
def test_what_can_not_be_answered_is_told_and_the_next_one_is_asked_anew(started, blocks, why):
    start, warnings = started
    with start(patience=3) as process:
        before = process.ask({"blocks": 1}).parameters
        assert process.ask({"blocks": blocks}) is None
        assert warnings == [f"the size of a trial could not be found: {why}"]
        assert not is_there(before)
        assert process.ask({"blocks": 1}).memory == 7


def test_after_two_failures_in_a_row_nothing_is_asked_any_more(started):
    start, warnings = started
    with start() as process:
        assert [process.ask({"blocks": blocks}) for blocks in (2, 2, 1, 1)] == [None] * 4
    assert len(warnings) == 2 and warnings[1].endswith("; no trial's size is checked any more")


def test_a_process_that_can_not_be_started_loses_nothing(tmp_path):
    warnings = []
    with SizeProcess([str(tmp_path / "nothing")], warnings.append) as process:
        process.start()
        assert process.ask({"blocks": 1}) is None
    assert "No such file" in warnings[0]
