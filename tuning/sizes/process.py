"""The process that builds the models of trials and counts them: started, asked, and ended. Knows nothing of models.

It takes a recipe as a line of JSON on its standard input, and answers with a line: `{"parameters": 9, "memory": 99}`,
`{"error": "Expected ..."}`, or `{"fault": "..."}` where the fault is its own. It is to end when its input ends, and
when its parent dies: it is told that one's number as its last argument.
"""

import contextlib
import json
import os
import selectors
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tuning.sizes.check import Size

# A slot waits for the answer; TensorFlow's import takes seconds on a busy machine, the largest models take some.
PATIENCE = 120.0  # seconds
MODELS_A_PROCESS = 100
NICENESS = 10  # trials come first
_FAILURES = 2  # in a row, after which nothing is asked any more


class SizeProcess:
    """Asks a process for the sizes of trials; as a context manager, it is gone at the end.

    Args:
        command: How it is started.
        warn: Told why something can't be answered.
        patience: Seconds that an answer may take.
        models: After so many answers it is started anew, so that what models leave behind does not add up.
    """

    def __init__(
        self,
        command: Sequence[str],
        warn: Callable[[str], None],
        *,
        patience: float = PATIENCE,
        models: int = MODELS_A_PROCESS,
    ) -> None:
        self._command, self._warn = tuple(command), warn
        self._patience, self._models = patience, models
        self._process: subprocess.Popen | None = None
        self._answered = self._failures = 0

    def __enter__(self) -> "SizeProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def start(self) -> None:
        """Starts it, so that it loads what it needs while others do so, too. What hinders it, `ask` will tell."""
        with contextlib.suppress(OSError):
            self._start()

    def _start(self) -> None:
        if self._process is not None:
            return
        # Not in our group: Ctrl-C is ours, and ends it with us. What it writes to standard error goes where ours goes.
        self._process = subprocess.Popen(
            [*self._command, str(os.getpid())],
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self._process.pid, NICENESS)
        self._answered = 0

    def ask(self, recipe: Mapping[str, Any]) -> Size | None:
        """The size of a trial; None where it can't be said, and why has been told."""
        if self._failures >= _FAILURES:
            return None
        try:
            self._start()
            self._process.stdin.write(json.dumps(recipe).encode() + b"\n")
            self._process.stdin.flush()
            answer = json.loads(self._line())
        except (OSError, ValueError) as error:
            return self._failed(str(error))
        if "fault" in answer:
            return self._failed(answer["fault"])
        self._failures, self._answered = 0, self._answered + 1
        if self._answered >= self._models:
            self._end()
            self.start()  # it loads while trials run
        return Size(**answer)

    def _line(self) -> bytes:
        """What it answers.

        Raises:
            TimeoutError: Nothing in time.
            BrokenPipeError: It has ended.
        """
        until, text = time.monotonic() + self._patience, b""
        output = self._process.stdout.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while not text.endswith(b"\n"):
                if not selector.select(max(0.0, until - time.monotonic())):
                    raise TimeoutError(f"no answer within {self._patience:g} s")
                part = os.read(output, 65_536)
                if not part:
                    raise BrokenPipeError(f"its process ended with {self._process.wait()}")
                text += part
        return text

    def _failed(self, why: str) -> None:
        self._end()
        self._failures += 1
        more = "" if self._failures < _FAILURES else "; no trial's size is checked any more"
        self._warn(f"the size of a trial could not be found: {why}{more}")

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()  # it holds nothing that would have to be saved
        process.wait()
        process.stdout.close()
        with contextlib.suppress(OSError):  # what it was told and has not read
            process.stdin.close()
