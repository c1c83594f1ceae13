"""Per-channel mean and deviation of the training images, from a sample decoded in full."""

from collections.abc import Sequence

import numpy as np

from pipelines.splits import hash_ids

SAMPLE = 2000


def sample_places(train_places: Sequence[int] | np.ndarray, seed: int, most: int = SAMPLE) -> np.ndarray:
    """Which training images are decoded in full for mean and deviation.

    Args:
        train_places: `[N]`, of the training split, in any order.
        seed: 0 to 2**63 - 1.
        most: How many are drawn where there are more.

    Returns:
        int64 `[min(N, most)]`, ascending; the same set for the same set of places.
    """
    places = np.sort(np.asarray(train_places, np.int64))
    # not the place alone: a source may use it as id, and that hash has already divided the splits
    drawn = hash_ids([f"moments {place}" for place in places.tolist()], seed)
    return np.sort(places[np.argsort(drawn, kind="stable")[:most]])


def channel_moments(pixels: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Sums over all pixels of an image and of their squares, exact.

    Args:
        pixels: uint8 `[H, W, C]`.

    Returns:
        (sums, sums of squares), C integers each.
    """
    flat = pixels.reshape(-1, pixels.shape[-1])
    counts = [np.bincount(flat[:, channel], minlength=256) for channel in range(flat.shape[1])]
    values = np.arange(256)
    return tuple(int(count @ values) for count in counts), tuple(int(count @ values**2) for count in counts)
