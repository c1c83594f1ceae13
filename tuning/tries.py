"""How often a run that was killed is begun again."""

from pathlib import Path

from tuning.run_folder import newest_checkpoint

_AFTER_KILLS = 2


class Tries:
    """Those of one run, in a row, without a new checkpoint: one that gets on is never given up."""

    def __init__(self) -> None:
        self._count, self._reached = 0, ""

    def begin(self, run: Path) -> None:
        """A process is about to be asked for.

        Args:
            run: The run's folder.
        """
        self._reached = newest_checkpoint(run)

    def again(self, run: Path) -> bool:
        """Whether to begin again what was ended from outside; a yes is counted."""
        if newest_checkpoint(run) != self._reached:
            self._count = 0
        self._count += 1
        return self._count <= _AFTER_KILLS
