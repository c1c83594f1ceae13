"""What can be tried before a run: a step of everything (`--dry-run`), a range test of learning rates (`--find-lr`)."""

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from base.errors import require
from models.training.run_directory import RunDirectory
from pipelines.manifest import Manifest

_STEPS = 200  # of the range test: 20 for each power of ten of the learning rate, and twice a run of bad ones


def find_rate(options: dict[str, Any], manifest: Manifest, console: Console) -> None:
    """Trains for a while with rising rates, draws the curve, and names a rate.

    Raises:
        InputError: The loss never falls, or the picture can't be written.
    """
    from models.training import rate_finder
    from models.training.hardware import prepare
    from models.training.together import together
    from scripts.training.phase import in_phase
    from scripts.training.training import training_of

    path = Path(options["run"].find_lr)
    require(path.absolute().parent.is_dir(), "Expected --find-lr in a folder that is there", find_lr=str(path))
    rising = dataclasses.replace(options["optimizer"], learning_rate=rate_finder.HIGHEST, scale_lr=None)
    plain = dataclasses.replace(options["fine-tuning"], finetune_rate=1.0)
    factors = (rate_finder.rising_rates(_STEPS) / rate_finder.HIGHEST).astype("float32")
    hardware = prepare(options["hardware"])
    with together(hardware.heartbeat):
        training = training_of({**options, "optimizer": rising, "fine-tuning": plain}, manifest, hardware)
        first = in_phase(training, 0, factors)
        with first.watched():
            test = first.trainer.find_rate(first.training_feed(), _STEPS)
    if hardware.worker == 0:
        rate_finder.draw(test, path)
    tried = f"{len(test.rates)} steps from {test.rates[0]:.1e} to {test.rates[-1]:.1e}"
    require(
        test.suggestion is not None,
        f"Expected a learning rate at which the loss falls, among those of {path}",
        tried=tried,
        do="Look at the data (scripts/preview.py), or at the model.",
    )
    console.print(f"tried {tried}: {path}", soft_wrap=True)
    console.print(f"steepest descent at --learning-rate {test.suggestion:.2g}", soft_wrap=True)


@contextlib.contextmanager
def passing_run(run: str | None) -> Iterator[RunDirectory]:
    """The folder of a dry run: on the disk of the real one, which is left alone, and removed after the block."""
    parent = Path(run).absolute().parent if run else None
    if parent is not None and not parent.is_dir():
        parent = None
    with tempfile.TemporaryDirectory(prefix=".dry-run-", dir=parent) as folder:
        yield RunDirectory(Path(folder) / "run")
