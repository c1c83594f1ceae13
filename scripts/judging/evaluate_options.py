"""What `evaluate.py` can be told, and the files that it writes. Free of TensorFlow."""

import dataclasses
from pathlib import Path

from base import files
from base.errors import require
from base.options import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What is judged, on what, and how closely."""

    run: str = option(help="the folder of a finished run of train.py")
    data: str | None = option(None, "a dataset folder with the run's classes; by default the one it was trained on")
    split: str = option("test", "the split that is judged")
    against: tuple[str, ...] = option((), "other runs, judged on the same examples, with paired tests")
    tta: str | None = option(
        None,
        "test-time augmentation: flip (mirrored), flips (both ways), or how many draws of the run's augmentation",
    )
    robustness: bool = option(False, "accuracy under rotations by degree, and under shifts by share of the side")
    grad_cam: bool = option(True, "show what speaks for the worst mistakes (Grad-CAM)")
    worst: int = option(24, "mistakes that are shown")
    predictions: str | None = option(None, "a .csv file: id, label, prediction and the score of each class")
    out: str | None = option(None, "the folder of evaluation-SPLIT.json and .html; by default the run's")
    overwrite: bool = option(False, "replace what an earlier evaluation wrote")
    resamples: int = option(1000, "of the bootstrap")
    level: float = option(0.95, "of the bootstrap's intervals")
    seed: int = option(0, "of the bootstrap")
    batch_size: int | None = option(None, "images at a time; by default as in training")

    def __post_init__(self) -> None:
        draws = int(self.tta) if self.tta is not None and self.tta.isdecimal() else 0
        require(
            self.tta in (None, "flip", "flips") or 1 <= draws <= 1000,
            "Expected --tta flip, flips or a number of draws from 1 to 1000",
            tta=self.tta,
        )
        require(1 <= self.worst <= 500, "Expected --worst from 1 to 500", worst=self.worst)
        require(2 <= self.resamples <= 10**6, "Expected --resamples from 2 to 1000000", resamples=self.resamples)
        require(0 < self.level < 1, "Expected --level between 0 and 1", level=self.level)
        require(0 <= self.seed < 2**31, "Expected --seed from 0 to 2147483647", seed=self.seed)
        require(
            self.batch_size is None or self.batch_size >= 1, "Expected --batch-size above 0", batch_size=self.batch_size
        )
        require(
            self.predictions is None or self.predictions.endswith(".csv"),
            "Expected --predictions to name a .csv file",
            predictions=self.predictions,
        )


class Outputs:
    """The files that an evaluation writes; `run`: the run's folder."""

    def __init__(self, asked: EvaluateOptions, run: Path) -> None:
        folder, name = Path(asked.out or run), f"evaluation-{asked.split}"
        self._overwrite = asked.overwrite
        self.json, self.html = folder / f"{name}.json", folder / f"{name}.html"
        self.mistakes = folder / f"{name}-mistakes.png"
        self.predictions = Path(asked.predictions) if asked.predictions else None

    def require_new(self) -> None:
        """Refuses files that are there, unless they may be replaced, and places where none could be."""
        folder = self.json.parent
        require(not folder.exists() or folder.is_dir(), "Expected --out to name a folder", out=str(folder))
        files.require_writable(folder, "out")
        if self.predictions:
            parent = self.predictions.absolute().parent
            require(parent.is_dir(), "Expected --predictions in a folder that is there", folder=str(parent))
            files.require_writable(parent, "predictions")
        for path in filter(None, (self.json, self.html, self.mistakes, self.predictions)):
            require(not path.is_dir(), "Expected a file's name, or none", folder=str(path))
            require(
                self._overwrite or not path.exists(),
                "Expected to write a new file",
                exists=str(path),
                do=f"Choose another {'--predictions' if path == self.predictions else '--out'}, or add --overwrite.",
            )

    def written(self) -> dict[str, Path]:
        """Title -> file, of those that are there."""
        named = {"report": self.html, "JSON": self.json, "mistakes": self.mistakes, "predictions": self.predictions}
        return {title: path for title, path in named.items() if path is not None and path.is_file()}
