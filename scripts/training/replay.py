"""The step at which a training failed: its examples named, and what happened in it shown."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from base.errors import require
from models.training.checkpoint import CheckpointFolder
from models.training.failures import NotFinite
from models.training.snapshot import Snapshot
from models.training.trainer import Trainer
from scripts.training.feeds import Batch, Data

_NAMED = 3


def naming_examples(error: NotFinite, data: Data) -> NotFinite:
    """The same error, with the examples of its step's batch."""
    index = np.concatenate([part["index"].numpy() for part in data.batch_of_step("train", error.step)])
    ids = data.ids("train", index[:_NAMED])
    return NotFinite(error.step, error.epoch, saved=error.saved, index=index.tolist(), ids=ids)


def failed_at(folder: Path) -> Snapshot:
    """The moment before the step at which a training failed, which the keeper saved in `folder`.

    Raises:
        InputError: Nothing is saved there.
    """
    start = CheckpointFolder(folder, keep=1).load_newest()
    require(
        start is not None,
        "Expected with --replay a run that has met a loss or gradients that were not finite",
        folder=str(folder),
        do="Leave --replay out to train.",
    )
    return start


def replayed(
    start: Snapshot,
    trainer: Trainer,
    data: Data,
    *,
    on_host: Callable[[Batch], Batch] | None = None,
) -> str:
    """Makes the step again that a training failed at, and says what happened in it.

    Args:
        start: The moment before it.
        trainer: As that training had it; its model takes over what was saved.
        data: As that training had it.
        on_host: The augmentation, where it is the input pipeline's.

    Returns:
        Several lines.

    Raises:
        InputError: It is of another model.
    """
    parts = data.batch_of_step("train", start.step)
    seen = trainer.replay(start, [on_host(part) for part in parts] if on_host else parts)
    title = f"step {start.step} (counted from 0), epoch {start.epoch + 1}, {len(seen.index)} examples"
    return "\n".join([title, seen.describe(lambda index: data.ids("train", index)), "", seen.table()])
