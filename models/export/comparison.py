"""Whether an exported model gives what its source gives. Pure."""

import dataclasses
from typing import Literal

import numpy as np

from base.errors import require

Precision = Literal["float32", "float16", "int8"]

CLEAR = 1e-4  # two best scores that differ by more leave no doubt about the class
_LEAST = {"float32": 1.0, "float16": 0.99, "int8": 0.95}  # agreement, in float32 of the images that are clear
_MOST = {"float32": 1e-3, "float16": 0.1, "int8": np.inf}  # difference of scores, in shares of the largest or of 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """Of the scores of an export with those of its source.

    Attributes:
        images: How many were compared.
        clear: Of how many the source's two best scores differ by more than `CLEAR`.
        largest_difference: Between two scores of one image and class.
        largest_score: Of the source's, regardless of its sign; 1 at least.
        agreement: The share of the images of which both name the same class.
        clear_agreement: The same, of those that are clear; 1 where none is.
    """

    images: int
    clear: int
    largest_difference: float
    largest_score: float
    agreement: float
    clear_agreement: float

    def describe(self) -> str:
        """In a line."""
        doubtful = self.images - self.clear
        rest = f"; {self.clear_agreement:.2%} of the {self.clear:,} that are clear" if doubtful else ""
        return (
            f"the same class for {self.agreement:.2%} of {self.images:,} images{rest}; "
            f"scores differ by {self.largest_difference:.2g} at most"
        )

    def require_equal(self, precision: Precision) -> None:
        """Refuses an export that is another model.

        Raises:
            InputError: Too many images get another class: in float32 any that is clear, in float16 more than 1 %, in
                int8 more than 5 %; or a score is no number, or in float32 and float16 far from the model's.
        """
        seen = self.clear_agreement if precision == "float32" else self.agreement
        require(
            seen >= _LEAST[precision],
            f"Expected of the export in {precision} the class that the model names, for {_LEAST[precision]:.0%} of the "
            "images" + (f" whose two best scores differ by more than {CLEAR:g}" if precision == "float32" else ""),
            agreement=round(seen, 4),
            images=self.images,
            largest_difference=self.largest_difference,
            do="Calibrate on more images with --calibration, or export float16." if precision == "int8" else "",
        )
        most = _MOST[precision] * self.largest_score
        require(
            np.isfinite(self.largest_difference) and self.largest_difference <= most,
            f"Expected of the export in {precision} the scores that the model gives, to {most:g}",
            largest_difference=self.largest_difference,
            images=self.images,
        )


def compare(source: np.ndarray, export: np.ndarray) -> Comparison:
    """Compares scores, float `[N, K]`, a row an image; K is 1 for the probability of the second of two classes."""
    source, export = (_both(scores.astype(np.float64)) for scores in (source, export))
    best = np.sort(source, axis=1)[:, -2:]
    clear = best[:, 1] - best[:, 0] > CLEAR
    same = source.argmax(axis=1) == export.argmax(axis=1)
    return Comparison(
        images=len(source),
        clear=int(clear.sum()),
        largest_difference=float(np.abs(source - export).max()),
        largest_score=max(1.0, float(np.abs(source).max())),
        agreement=float(same.mean()),
        clear_agreement=float(same[clear].mean()) if clear.any() else 1.0,
    )


def _both(scores: np.ndarray) -> np.ndarray:
    return np.concatenate([1 - scores, scores], axis=1) if scores.shape[1] == 1 else scores
