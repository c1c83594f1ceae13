"""Per-channel mean and deviation of the training images, from a sample decoded in full."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from pipelines.conversion.splits import hash_ids
from pipelines.health.observation import Moments, Observation

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


def channel_moments(pixels: np.ndarray) -> Moments:
    """How many pixels an image has, and the sums of their values and of the values' squares, exact.

    Args:
        pixels: uint8 `[H, W, C]`, decoded in full.

    Returns:
        One number of pixels, C sums, C sums of squares.
    """
    height, width, channels = pixels.shape
    # Pillow counts 190,000 pixels in 190 us, numpy.bincount in 700, and the sums are those of the counts.
    counts = Image.fromarray(pixels if channels == 3 else pixels[..., 0]).histogram()
    counts = np.array(counts, np.int64).reshape(channels, 256)
    values = np.arange(256)
    return (height * width,), tuple((counts @ values).tolist()), tuple((counts @ values**2).tolist())


def channel_statistics(observations: Sequence[Observation]) -> dict[str, Any] | None:
    """Mean and standard deviation of each channel, every image weighing the same, whatever its size.

    So they are those of images brought to one size, as a model sees them. Grey images count as colour where others
    are in colour.

    Args:
        observations: Those with moments, of images with 1 or 3 channels.

    Returns:
        How many images, and mean and deviation a channel, on the scale 0-255 and on 0-1; None without images.
    """
    sampled = [one for one in observations if one.moments is not None and len(one.moments[1]) in (1, 3)]
    if not sampled:
        return None
    channels = max(len(one.moments[1]) for one in sampled)
    sums = np.array([np.broadcast_to(one.moments[1], channels) for one in sampled], np.float64)
    squares = np.array([np.broadcast_to(one.moments[2], channels) for one in sampled], np.float64)
    pixels = np.array([one.moments[0] for one in sampled], np.float64)
    mean = (sums / pixels).mean(axis=0)
    deviation = np.sqrt(np.maximum((squares / pixels).mean(axis=0) - mean**2, 0))
    return {
        "images": len(sampled),
        "mean": np.round(mean, 4).tolist(),
        "deviation": np.round(deviation, 4).tolist(),
        "mean_of_1": np.round(mean / 255, 6).tolist(),
        "deviation_of_1": np.round(deviation / 255, 6).tolist(),
    }
