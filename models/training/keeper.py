"""When a run is saved: after each epoch, every so many steps or minutes, and before a signal ends it."""

import dataclasses
import time
from collections.abc import Callable, Sequence

from models.training.checkpoint import CheckpointFolder
from models.training.heartbeat import Heartbeat
from models.training.options import CheckpointOptions
from models.training.snapshot import Snapshot


class Keeper:
    """Saves snapshots between two calls of the compiled loop.

    Args:
        folder: Where to.
        options: When, beside the end of each epoch.
        replay: Where the moment before a step goes whose loss was not finite; None: nowhere.
        received: Signals that have come, as `base.signals.held_back` yields them: the run is saved and left by
            `KeyboardInterrupt`. (An exception raised by a signal's handler while TensorFlow calls back into Python can
            abort the process.)
        peers: The other workers, if there are any: only the lowest that is alive saves.

    Attributes:
        phase: Of the run, that the snapshots are marked with.
    """

    def __init__(
        self,
        folder: CheckpointFolder,
        options: CheckpointOptions | None = None,
        *,
        replay: CheckpointFolder | None = None,
        received: Sequence[int] = (),
        peers: Heartbeat | None = None,
    ) -> None:
        options = options or CheckpointOptions()
        self._folder, self._replay = folder, replay
        self._every_steps, self._every_seconds = options.checkpoint_steps, 60 * options.checkpoint_minutes
        self._received = received
        self._peers = peers
        self._saved_at, self.saved_step = time.monotonic(), 0
        self.phase = 0

    def after_call(self, step: int, snapshot: Callable[[], Snapshot]) -> None:
        """Saves where it is time to; raises `KeyboardInterrupt` where a signal has come."""
        enough = self._every_steps and step // self._every_steps > self.saved_step // self._every_steps
        late = self._every_seconds and time.monotonic() - self._saved_at >= self._every_seconds
        if enough or late or self._received:
            self.save(step, snapshot)
        if self._received:
            raise KeyboardInterrupt

    def after_epoch(self, step: int, snapshot: Callable[[], Snapshot]) -> None:
        """Saves; raises as `after_call` does."""
        self.save(step, snapshot)
        if self._received:
            raise KeyboardInterrupt

    def steps_left(self, step: int) -> int | None:
        """Steps until the next save by their number; None: no limit."""
        return self._every_steps - step % self._every_steps if self._every_steps else None

    def save(self, step: int, snapshot: Callable[[], Snapshot]) -> bool:
        """Saves at once; whether it was this worker's to do, and could be done."""
        self._saved_at = time.monotonic()
        if self._peers and not self._peers.writes:
            return False
        saved = self._folder.save(dataclasses.replace(snapshot(), phase=self.phase))
        self.saved_step = step if saved else self.saved_step
        if saved and self._peers:
            self._peers.saved(step)
        return saved

    def keep_for_replay(self, snapshot: Snapshot) -> bool:
        """Saves the moment before a step that failed, in the place of an earlier one; whether it could be done."""
        if self._replay is None or (self._peers and not self._peers.writes):
            return False
        self._replay.clear()
        return self._replay.save(dataclasses.replace(snapshot, phase=self.phase))
