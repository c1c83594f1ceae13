"""How far a run is that the train command writes, from the files in its folder."""

from pathlib import Path

_MODEL = "model.keras"  # written last
_CHECKPOINTS = "checkpoints"


def is_finished(run: Path) -> bool:
    """Whether the run has ended as it should: the same command again would only say so."""
    return (run / _MODEL).is_file()


def newest_checkpoint(run: Path) -> str:
    """The name of the checkpoint that the run would go on from, after those of earlier ones; "" where there is none."""
    return max((path.name for path in (run / _CHECKPOINTS).glob("[!.]*.npz")), default="")
