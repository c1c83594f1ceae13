"""How every command runs: one-line errors, and exit codes that scripts can rely on.

0 done, 1 a fault of ours (with traceback), 2 the user's input, 75 start again (EX_TEMPFAIL of sysexits.h: another
worker was lost, the same command goes on), 130 and 143 interrupted by SIGINT and SIGTERM, 141 nobody reads the output
any more.
"""

import contextlib
import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from base.errors import InputError, StartAgain

SUCCESS, FAULT, BAD_INPUT, START_AGAIN, INTERRUPTED, PIPE_CLOSED, TERMINATED = 0, 1, 2, 75, 130, 141, 143


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
    except StartAgain as error:
        print(f"error: {error}", file=sys.stderr)
        return START_AGAIN
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except Terminated:
        print("terminated", file=sys.stderr)
        return TERMINATED
    except BrokenPipeError:  # who read our output, as `head`, has seen enough: nothing is left to be said, or flushed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except OSError as error:
        if error.errno not in _NO_ROOM:
            traceback.print_exc()
            return FAULT
        where = f" for {error.filename}" if error.filename else ""
        print(
            f"error: Expected room on the disk{where}. Received: error={error.strerror!r}. Make room, and go on "
            "with the same command.",
            file=sys.stderr,
        )
        return BAD_INPUT
    except SystemExit as error:  # --help
        return error.code if isinstance(error.code, int) else SUCCESS if error.code is None else BAD_INPUT
    except BaseException:
        traceback.print_exc()
        return FAULT
    finally:
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)
    return SUCCESS


def end(code: int) -> NoReturn:
    """Ends the process with an exit code.

    Without the destructors of libraries, which may wait for a worker that is lost or abort the process, unless it is
    done or a fault of ours.
    """
    if code in (START_AGAIN, INTERRUPTED, TERMINATED):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def _on_sigterm() -> signal.Handlers | None:
    def terminate(*_: object) -> None:
        raise Terminated

    try:
        return signal.signal(signal.SIGTERM, terminate)
    except ValueError:  # not the main thread: whoever runs us handles signals
        return None
