"""The handwritten digits that come with scikit-learn: 1,797 grey images of 8x8, 10 classes."""

from collections.abc import Sequence

import numpy as np

from pipelines.sources.arrays import from_arrays
from pipelines.sources.options import DIGITS
from pipelines.sources.source import Source

BRIGHTEST = 16  # the images count, in each cell of 4x4 pixels, those that are set


def open_digits(class_names: Sequence[str] = ()) -> Source:
    """The digits as uint8, 0-16 stretched to 0-255; the source has no splits."""
    from sklearn.datasets import load_digits  # takes a second: not for `--help`

    images, labels = load_digits(return_X_y=True)
    pixels = np.rint(images.reshape(-1, 8, 8) * (255 / BRIGHTEST)).astype(np.uint8)
    return from_arrays(DIGITS, {None: ("digits", pixels, "digits' labels", labels)}, class_names=class_names)
