"""Which image belongs to which split, and in which order: by seed and id alone.

Neither depends on the file system's order, on the number of workers, or on the other images' names: each id has its
own keyed hash, and images are ranked by it.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy as np

TEST_SHARE = 0.1  # of a source without splits


def hash_ids(ids: Sequence[str], seed: int) -> np.ndarray:
    """One number an id, drawn by `seed`.

    Args:
        ids: Any text, `[N]`.
        seed: 0 to 2**63 - 1.

    Returns:
        uint64 `[N]`: the first 8 bytes of BLAKE2b (RFC 7693), keyed with the seed.
    """
    key = seed.to_bytes(8, "little")
    digests = b"".join(hashlib.blake2b(id.encode(), digest_size=8, key=key).digest() for id in ids)
    return np.frombuffer(digests, "<u8")


def assign(
    labels: np.ndarray, hashes: np.ndarray, own: Mapping[str, np.ndarray] | None, held_out: float
) -> dict[str, np.ndarray]:
    """The places of each split's examples, in the order in which they are written.

    Args:
        labels: int `[N]`.
        hashes: uint64 `[N]`, as `hash_ids` gives them.
        own: The source's own splits, name -> places; None where it has none, and gets `test` too.
        held_out: The share that becomes `validation` where the source has none, 0 to 1.

    Returns:
        Name -> int64 places, shuffled by their hashes; splits without an example are left out.
    """
    if own is None:
        shares = {"train": 1 - held_out - TEST_SHARE, "validation": held_out, "test": TEST_SHARE}
        splits = stratify(labels, hashes, shares)
    elif "validation" in own or not held_out:
        splits = dict(own)
    else:
        train = own["train"]
        parts = stratify(labels[train], hashes[train], {"train": 1 - held_out, "validation": held_out})
        splits = {**{name: train[part] for name, part in parts.items()}, **_without(own, "train")}
    return {name: places[np.argsort(hashes[places], kind="stable")] for name, places in splits.items() if len(places)}


def stratify(labels: np.ndarray, hashes: np.ndarray, shares: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Divides examples so that each class is divided alike, by largest remainder.

    What a class's remainders leave open is given where earlier classes gave too little, so that many small classes do
    not all lose their one spare example to the same split. The first split gets an example of every class.

    Args:
        labels: int `[N]`.
        hashes: uint64 `[N]`; within a class the examples are dealt out in their order.
        shares: Split -> share of the examples; they add up to 1.

    Returns:
        Split -> int64 places, ascending.

    Example:
        >>> labels, hashes = np.zeros(10, int), np.arange(10, dtype=np.uint64)
        >>> {name: len(places) for name, places in stratify(labels, hashes, {"train": 0.8, "test": 0.2}).items()}
        {'train': 8, 'test': 2}
    """
    wanted = list(shares.values())
    owed = [0.0] * len(wanted)
    dealt: list[list[np.ndarray]] = [[] for _ in wanted]
    by_class = np.lexsort((hashes, labels))
    for members in np.split(by_class, np.flatnonzero(np.diff(labels[by_class])) + 1):
        sizes = _sizes(len(members), wanted, owed)
        owed = [debt + len(members) * share - size for debt, share, size in zip(owed, wanted, sizes, strict=True)]
        for part, chosen in zip(dealt, np.split(members, np.cumsum(sizes)[:-1]), strict=True):
            part.append(chosen)
    return {name: np.sort(np.concatenate(part)) for name, part in zip(shares, dealt, strict=True)}


def _sizes(count: int, shares: Sequence[float], owed: Sequence[float]) -> list[int]:
    exact = [count * share for share in shares]
    sizes = [math.floor(size) for size in exact]
    claims = [size - math.floor(size) + debt for size, debt in zip(exact, owed, strict=True)]
    ranking = sorted(range(len(shares)), key=lambda split: -round(claims[split], 9))  # equal but for rounding: in order
    if sizes[0] == 0:  # no class without a training example
        ranking.sort(key=lambda split: split != 0)
    for split in ranking[: count - sum(sizes)]:
        sizes[split] += 1
    return sizes


def _without(splits: Mapping[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    return {key: places for key, places in splits.items() if key != name}
