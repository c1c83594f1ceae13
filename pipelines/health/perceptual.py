"""What of a picture hardly changes when it is scaled, compressed or brightened a little.

Near duplicates are found by the hash, and confirmed by the tiny picture: where all images are of one kind, equal
hashes are no evidence. Of Fashion-MNIST's 70,000 images each has 26 others within 6 bits; of two lesions within 4 bits
every second pair are different lesions.
"""

import functools

import numpy as np

FLAT = 1 << 63
"""The hash of a picture without contrast, all black or blank: nothing but its mean is above the median. No other
picture has it, since half of the 64 numbers are above their median unless they are equal."""

TINY = 16  # pixels a side

_SIDE, _LOW = 32, 8  # imagehash.phash: the picture is brought to 32 x 32, of whose cosine transform 8 x 8 count
_LEAST_AMPLITUDE = 1.0  # of 255: a picture whose strongest wave is weaker shows the noise of its compression


def perceptual_hash(grey: np.ndarray) -> int:
    """The 64-bit pHash of a picture, by the definition of `imagehash.phash`.

    `imagehash` scales the picture to 32 x 32 (Lanczos), takes its cosine transform and compares the 8 x 8 lowest
    frequencies with their median. Scaling and transform are linear, so both are one small matrix a side, taken from
    Pillow and SciPy by handing them the unit matrix. The only difference is that Pillow rounds the scaled pixels: of
    300 photos 25 have hashes 2 bits from the library's. A 47 x 63 picture takes 14 us instead of 170; a decode takes
    900, and threads would wait for each other, since the library holds the interpreter's lock.

    Args:
        grey: uint8 `[h, w]`: the picture upright, and scaled down, but not below 32 pixels a side if it has them.

    Returns:
        0 to 2**64 - 1, the top left frequency in the highest bit; `FLAT` for a picture without contrast.
    """
    height, width = grey.shape
    waves = _low_frequencies(height) @ grey.astype(np.float32) @ _low_frequencies(width).T
    waves = waves.reshape(-1)
    if np.abs(waves[1:]).max() < _LEAST_AMPLITUDE * _SIDE**2:
        return FLAT
    ranked = np.sort(waves)
    middle = len(ranked) // 2
    above = waves > (ranked[middle - 1] + ranked[middle]) / 2  # numpy.median alone would take half of the time
    return int.from_bytes(np.packbits(above).tobytes(), "big")


def tiny_picture(grey: np.ndarray) -> bytes:
    """The picture at 16 x 16 pixels, bicubic and antialiased; takes 11 us.

    Args:
        grey: As `perceptual_hash` takes it.

    Returns:
        256 bytes, row by row.
    """
    height, width = grey.shape
    tiny = _scaling(height, TINY) @ grey.astype(np.float32) @ _scaling(width, TINY).T
    return np.clip(np.rint(tiny), 0, 255).astype(np.uint8).tobytes()


@functools.lru_cache(maxsize=4096)
def _low_frequencies(size: int) -> np.ndarray:
    """float32 `[8, size]`: a row of pixels -> the lowest frequencies of that row scaled to 32 pixels."""
    import scipy.fftpack

    return scipy.fftpack.dct(_scaling(size, _SIDE).astype(np.float64), axis=0)[:_LOW].astype(np.float32)


@functools.lru_cache(maxsize=4096)
def _scaling(size: int, to: int) -> np.ndarray:
    """float32 `[to, size]`: a row of pixels -> that row scaled."""
    import imagehash
    from PIL import Image

    unit = Image.fromarray(np.eye(size, dtype=np.float32))
    method = imagehash.ANTIALIAS if to == _SIDE else Image.Resampling.BICUBIC
    return np.asarray(unit.resize((to, size), method)).T
