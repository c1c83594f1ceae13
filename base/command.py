"""How every command runs: one-line errors, and exit codes that scripts can rely on.

0 done, 1 a fault of ours (with traceback), 2 the user's input, 130 and 143 interrupted by SIGINT and SIGTERM, 141
nobody reads the output any more.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence

from base.errors import InputError

SUCCESS, FAULT, BAD_INPUT, INTERRUPTED, PIPE_CLOSED, TERMINATED = 0, 1, 2, 130, 141, 143


class Terminated(BaseException):
    """SIGTERM, as an exception, so that what is half-written is cleared away."""


def run(main: Callable[[Sequence[str] | None], None], argv: Sequence[str] | None = None) -> int:
    """Runs `main(argv)` and returns the exit code; errors go to standard error."""
    previous = _on_sigterm()
    try:
        main(argv)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except Terminated:
        print("terminated", file=sys.stderr)
        return TERMINATED
    except BrokenPipeError:  # who read our output, as `head`, has seen enough: nothing is left to be said, or flushed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except SystemExit as error:  # --help
        return error.code if isinstance(error.code, int) else SUCCESS if error.code is None else BAD_INPUT
    except BaseException:
        traceback.print_exc()
        return FAULT
    finally:
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)
    return SUCCESS


def _on_sigterm() -> signal.Handlers | None:
    def terminate(*_: object) -> None:
        raise Terminated

    try:
        return signal.signal(signal.SIGTERM, terminate)
    except ValueError:  # not the main thread: whoever runs us handles signals
        return None
