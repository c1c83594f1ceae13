"""Which pictures are nearly the same: candidates by their hashes, confirmed by their tiny pictures.

All pairs of 100,000 images are 5 billion: too many. Cut into four pieces of 16 bits, two hashes that differ in at most
7 bits differ in at most one bit of some piece (Norouzi, Punjani, Fleet: "Fast Search in Hamming Space with Multi-Index
Hashing", CVPR 2012). So for each piece the hashes are sorted by it, and compared only with those of the same piece or
of one with a single bit flipped: about 1 pair in 1,000 of 100,000 images.
"""

from collections.abc import Iterator

import numpy as np

from pipelines.health.perceptual import FLAT

DISTANCE = 6
"""Most bits in which the hashes of near duplicates differ, of 64."""
CORRELATION, DIFFERENCE = 0.99, 6.0
"""How alike their tiny pictures are: least correlation, and most difference in grey levels of 255 (root mean square)
that is left when one is given the brightness and contrast of the other.

Measured on 143 photos and 141 pictures of lesions against altered copies of themselves, found in a hundred: compressed
at quality 20 100 and 99, halved 96 and 100, scaled to 0.7 92 and 100, stretched to 256 x 256 90 and 100, trimmed by 2 %
70 and 90, brightened by 30 % and clipped 58 and 90. Of the 900,000 pairs of Fashion-MNIST whose hashes are alike 113
are left; the correlation alone, at 0.994, would leave 436, most of them different trousers of one cut."""

_PIECES, _BITS = 4, 16
_MOST = 1000  # of one piece that a hash is compared with
_BLOCK = 1 << 20  # pairs compared at a time: some 50 MB
_CONFIRMED_AT_ONCE = 1 << 14  # their tiny pictures as float32: 32 MB


def near_components(hashes: np.ndarray, tinies: np.ndarray) -> np.ndarray:
    """Numbers the sets of pictures that near duplicates chain together.

    A picture without contrast is nearly the same as no other.

    Args:
        hashes: uint64 `[N]`, as `perceptual_hash` gives them.
        tinies: uint8 `[N, 256]`, as `tiny_picture` gives them.

    Returns:
        int64 `[N]`: for each picture the first one of its set.
    """
    component = np.arange(len(hashes))
    lively = np.flatnonzero(hashes != np.uint64(FLAT))
    for block in candidate_pairs(hashes[lively]):
        for start in range(0, len(block), _CONFIRMED_AT_ONCE):
            pairs = lively[block[start : start + _CONFIRMED_AT_ONCE]]
            pairs = pairs[component[pairs[:, 0]] != component[pairs[:, 1]]]  # soon few do where one scene fills the set
            pairs = pairs[alike(tinies[pairs[:, 0]], tinies[pairs[:, 1]])]
            if len(pairs):
                component = join(component, pairs)
    return component


def candidate_pairs(hashes: np.ndarray) -> Iterator[np.ndarray]:
    """Every pair of hashes that differ in at most `DISTANCE` bits, once.

    Where more than 1,000 hashes share a piece, as with frames of one scene, each is compared with the 1,000 next to it
    only: the work stays linear, and such pictures are chained together all the same.

    Args:
        hashes: uint64 `[N]`.

    Yields:
        int64 `[P, 2]`, places in `hashes`; as many blocks as needed to bound the memory.
    """
    for piece in range(_PIECES):
        order = np.lexsort((hashes, _piece(hashes, piece)))
        ranked = hashes[order]
        keys = _piece(ranked, piece)
        for flip in (0, *(1 << bit for bit in range(_BITS))):
            # a pair is met once: from the member before the other, or from the one whose bit is 0
            start = np.searchsorted(keys, keys ^ flip) if flip else np.arange(1, len(keys) + 1)
            end = np.searchsorted(keys, keys ^ flip, side="right")
            counts = np.where(keys & flip, 0, np.minimum(end - start, _MOST))
            for first, second in _expanded(start, counts):
                apart = ranked[first] ^ ranked[second]
                near = np.flatnonzero(np.bitwise_count(apart) <= DISTANCE)
                for earlier in range(piece):  # which found this pair already
                    near = near[np.bitwise_count(_piece(apart[near], earlier)) > 1]
                if len(near):
                    yield order[np.stack([first[near], second[near]], axis=1)]


def alike(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Whether tiny pictures are nearly the same as those opposite.

    Args:
        first: uint8 `[P, 256]`.
        second: uint8 `[P, 256]`.

    Returns:
        bool `[P]`; False where one of the two has one grey only.
    """
    a, b = (tiny - tiny.mean(axis=1, keepdims=True) for tiny in (first.astype(np.float32), second.astype(np.float32)))
    square_a, square_b, product = (np.einsum("pi,pi->p", left, right) for left, right in ((a, a), (b, b), (a, b)))
    correlation = product / np.sqrt(np.maximum(square_a * square_b, 1e-6))
    left_over = (1 - correlation**2) * np.minimum(square_a, square_b) / first.shape[1]
    return (correlation >= CORRELATION) & (left_over <= DIFFERENCE**2)


def join(component: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """The components after the two members of each pair have come together.

    Args:
        component: int64 `[N]`, the first member of each one's component.
        pairs: int64 `[P, 2]`.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    size = (len(component), len(component))
    edges = coo_array((np.ones(len(pairs), np.int8), tuple(component[pairs].T)), shape=size)
    joined = connected_components(edges, directed=False)[1][component]
    _, first, place = np.unique(joined, return_index=True, return_inverse=True)
    return first[place]


def _piece(hashes: np.ndarray, piece: int) -> np.ndarray:
    return ((hashes >> np.uint64(_BITS * piece)) & np.uint64((1 << _BITS) - 1)).astype(np.int64)


def _expanded(start: np.ndarray, counts: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of i with each of start[i], ..., start[i] + counts[i] - 1, in blocks."""
    ends = np.cumsum(counts)
    low = 0
    while low < len(counts):
        done = ends[low] - counts[low]
        high = max(low + 1, int(np.searchsorted(ends, done + _BLOCK, side="right")))
        first = np.repeat(np.arange(low, high), counts[low:high])
        within = np.arange(len(first)) - (ends[first] - counts[first] - done)
        if len(first):
            yield first, start[first] + within
        low = high
