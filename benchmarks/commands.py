"""Commands as a user would give them, for the benchmarks that measure whole ones."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run(*command: object, environment: Mapping[str, str] = os.environ) -> None:
    """Runs Python on a script of the repository, or with `-c`, and waits for it.

    Raises:
        SystemExit: It failed; with all that it said.
    """
    arguments = [sys.executable, *map(str, command)]
    ended = subprocess.run(
        arguments,
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if ended.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{ended.stdout}")
