"""Answers `tuning.sizes.process`: sizes of trials, in a process of its own. Free of TensorFlow until it is tied."""

import ctypes
import json
import os
import signal
import sys
import traceback
from typing import Any, BinaryIO

from base.errors import InputError

# By name, since the working directory may hold anything, modules of the same names too (-P).
_SERVE = "import sys; from scripts.searching.trial_sizes import serve; serve(*sys.argv[1:])"
COMMAND = (sys.executable, "-P", "-c", _SERVE)
_PR_SET_PDEATHSIG = 1


def serve(capability: str, parent: str) -> None:
    """Answers until its input ends.

    Args:
        capability: The compute capability of the GPUs that trials run on, as "9.0"; "" where there are none.
        parent: Number of the process that is answered: when it dies, so does this one.
    """
    _end_with(int(parent))
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # where models of the user's own print to
    from scripts.searching.model_size import forget_models, size_of

    gpu = tuple(map(int, capability.split("."))) if capability else None
    for line in sys.stdin.buffer:
        _answer(answers, lambda recipe=line: vars(size_of(json.loads(recipe), gpu)))
        forget_models()  # while nobody waits


def _answer(answers: BinaryIO, make: Any) -> None:
    try:
        answer = make()
    except InputError as error:
        answer = {"error": str(error)}
    except Exception as error:  # of Keras, TensorFlow, or the user's own model
        traceback.print_exc()
        answer = {"fault": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
    answers.write(json.dumps(answer).encode() + b"\n")


def _end_with(parent: int) -> None:
    """Asks the system to kill this process when its parent dies; it may have died already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
