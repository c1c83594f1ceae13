"""What the values of an image array mean, and the uint8 that they become."""

from collections.abc import Iterator

import numpy as np

from base.errors import input_error, require

TOPS = {"0-1": 1, "0-255": 255, "0-65535": 65535}
_CHUNK = 1 << 24  # values looked at in one go: temporary copies stay small whatever the array's size


def find_top(arrays: dict[str, np.ndarray], value_range: str) -> tuple[int, str | None]:
    """Which value is white, over all arrays together, so that the splits of one data set are never scaled apart.

    Args:
        arrays: Name -> images of any real dtype, `[N, ...]`.
        value_range: A key of `TOPS`, or `auto`: the smallest range that holds every value; 0-255 for uint8.

    Returns:
        The value that becomes 255, and a sentence about what was detected, or None where nothing was.

    Raises:
        InputError: NaN, infinities, or values outside the range; it names the array and the image's index.
    """
    for name, images in arrays.items():
        require(images.dtype.kind in "buif", f"Expected numbers in {name}", dtype=str(images.dtype))
    if value_range == "auto" and all(images.dtype == np.uint8 for images in arrays.values()):
        return 255, None
    extremes = {name: _extremes(name, images) for name, images in arrays.items()}
    lowest = min(low for low, _ in extremes.values())
    highest = max(high for _, high in extremes.values())
    if value_range == "auto":
        found = next((key for key, top in TOPS.items() if highest <= top), "0-65535")
    else:
        found = value_range
    for name, images in arrays.items():
        _refuse_outside(name, images, extremes[name], TOPS[found], found)
    kinds = ", ".join(sorted({str(images.dtype) for images in arrays.values()}))
    note = f"values detected as {found}: {kinds} from {lowest:g} to {highest:g} (--value-range says otherwise)"
    return TOPS[found], note if value_range == "auto" else None


def to_uint8(images: np.ndarray, top: int) -> np.ndarray:
    """Values of 0-`top`, scaled to 0-255 and rounded to the nearest (halves to even), as uint8 of the same shape."""
    if images.dtype == np.uint8 and top == 255:
        return images
    return np.rint(images.astype(np.float64) * (255 / top)).astype(np.uint8)


def _chunks(images: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    rows = max(1, _CHUNK // max(1, images[0].size))
    for start in range(0, len(images), rows):
        yield start, images[start : start + rows]


def _extremes(name: str, images: np.ndarray) -> tuple[float, float]:
    low, high = np.inf, -np.inf
    for start, chunk in _chunks(images):
        least, most = float(chunk.min()), float(chunk.max())  # NaN comes through both
        if not (np.isfinite(least) and np.isfinite(most)):
            index, value = _first(~np.isfinite(chunk), chunk)
            raise input_error(
                f"Expected finite values in {name}",
                image=f"{name}[{start + index}]",
                value=value,
                do="Remove or repair this image.",
            )
        low, high = min(low, least), max(high, most)
    return low, high


def _refuse_outside(name: str, images: np.ndarray, extremes: tuple[float, float], top: int, value_range: str) -> None:
    if extremes[0] >= 0 and extremes[1] <= top:
        return
    for start, chunk in _chunks(images):
        outside = (chunk < 0) | (chunk > top)
        if outside.any():
            index, value = _first(outside, chunk)
            raise input_error(
                f"Expected values of {value_range} in {name}",
                image=f"{name}[{start + index}]",
                value=value,
                do="Shift and scale the array to 0-1, 0-255 or 0-65535, or choose the range with --value-range.",
            )


def _first(bad: np.ndarray, chunk: np.ndarray) -> tuple[int, float]:
    index = int(np.argmax(bad.reshape(len(bad), -1).any(axis=1)))
    return index, float(chunk[index][bad[index]][0])
