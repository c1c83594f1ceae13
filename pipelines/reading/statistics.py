"""What a split's pixels are like: the numbers that standardisation is fitted with.

All sums are sums of whole numbers, exact in integers or float64: the result is the same to the last bit whatever the
order and the size of the batches.
"""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from base.errors import require

# The matrix has this many rows and columns: 134 MB in float64, and its eigenvectors take minutes beyond.
MOST_WHITENED = 4096


@dataclasses.dataclass(frozen=True)
class PixelStatistics:
    """Of grey levels, 0 to 255.

    Attributes:
        examples: How many images there were.
        mean: float64 `[C]`: each channel's, over all places of all images.
        std: float64 `[C]`: the standard deviation, with the count as divisor.
        whitening: The eigenvalues, float64 `[D]`, and eigenvectors, float64 `[D, D]` (columns), of the images'
            covariance about their channels' means, D = H * W * C; None where it was not asked for.
    """

    examples: int
    mean: np.ndarray
    std: np.ndarray
    whitening: tuple[np.ndarray, np.ndarray] | None = None


def pixel_statistics(batches: Iterable[Mapping[str, np.ndarray]], *, whiten: bool = False) -> PixelStatistics:
    """Goes once through a split.

    Args:
        batches: `image` uint8 `[B, H, W, C]` and `weight` float32 `[B]`, as evaluation reads them: what has weight 0 is
            padding, and left out.
        whiten: Whether ZCA needs the covariance; see `require_whitenable`.
    """
    examples, pixels = 0, 0
    total = squares = products = sums = None
    for batch in batches:
        images = np.asarray(batch["image"])[np.asarray(batch["weight"]) > 0]
        if total is None:
            channels, values = images.shape[-1], int(np.prod(images.shape[1:]))
            total, squares = np.zeros(channels, np.int64), np.zeros(channels, np.int64)
            sums = np.zeros(values)
            products = np.zeros((values, values)) if whiten else None
        examples += len(images)
        pixels += int(np.prod(images.shape[:-1]))
        levels = _level_counts(images)
        total += levels @ np.arange(256)
        squares += levels @ np.arange(256) ** 2
        if whiten:
            flat = images.reshape(len(images), -1).astype(np.float64)
            sums += flat.sum(axis=0)
            products += flat.T @ flat
    mean = np.array([int(value) / pixels for value in total])
    # In Python's integers: nothing is cancelled, however small the variance.
    variance = [(pixels * int(q) - int(t) ** 2) / pixels**2 for q, t in zip(squares, total, strict=True)]
    return PixelStatistics(
        examples=examples,
        mean=mean,
        std=np.sqrt(variance),
        whitening=_principal(examples, sums, products, np.tile(mean, len(sums) // len(mean))) if whiten else None,
    )


def require_whitenable(shape: tuple[int, int, int]) -> None:
    """Refuses images that are too large for ZCA."""
    values = int(np.prod(shape))
    require(
        values <= MOST_WHITENED,
        f"Expected images of at most {MOST_WHITENED:,} values with --zca-whitening: its matrix has as many rows and "
        "columns as an image has values",
        values=values,
        do="Choose a smaller --image-size, or --featurewise-std-normalization.",
    )


def zca_matrix(statistics: PixelStatistics, *, factor: float, epsilon: float) -> np.ndarray:
    """The matrix that decorrelates images `[B, D]` that were rescaled by `factor` and centred by channel.

    As Keras' `ImageDataGenerator.fit` has it, with one exception: a direction in which no training image has anything
    (the difference of two corners that are always black) is mapped to 0; Keras divides its rounding noise by `epsilon`.

    Args:
        statistics: With `whitening`.
        factor: Of the pixels.
        epsilon: Keras' `zca_epsilon`: added to the singular values of the rescaled, centred images.

    Returns:
        float32 `[D, D]`, symmetric.
    """
    values, vectors = statistics.whitening
    varies = values > values.max() * 1e-12
    singular = np.sqrt(np.where(varies, values, 0) * statistics.examples) * factor
    inverse = np.where(varies, np.sqrt(statistics.examples) / (singular + epsilon), 0)
    return ((vectors * inverse) @ vectors.T).astype(np.float32)


def _level_counts(images: np.ndarray) -> np.ndarray:
    """How often each channel has each grey level, int64 `[C, 256]`."""
    channels = images.shape[-1]
    return np.stack([np.bincount(images[..., c].ravel(), minlength=256) for c in range(channels)])


def _principal(
    examples: int, sums: np.ndarray, products: np.ndarray, center: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    cross = np.outer(center, sums)
    covariance = (products - cross - cross.T) / examples + np.outer(center, center)
    return np.linalg.eigh(covariance)
