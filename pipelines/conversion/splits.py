"""Which image belongs to which split, and in which order: by seed, id and group alone.

Neither depends on the file system's order, on the number of workers, or on the other images' names: each id has its
own keyed hash, and images are ranked by it.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

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


def shuffle(splits: Mapping[str, np.ndarray], hashes: np.ndarray) -> dict[str, np.ndarray]:
    """The places of each split's examples in the order in which they are written, by their hashes, uint64 `[N]`.

    Splits without an example are left out.
    """
    return {name: places[np.argsort(hashes[places], kind="stable")] for name, places in splits.items() if len(places)}


def hold_out(
    own: Mapping[str, np.ndarray], share: float, labels: np.ndarray, hashes: np.ndarray, groups: np.ndarray | None
) -> dict[str, np.ndarray]:
    """`own` with `share` of its `train` as `validation`; the other arguments as `stratify` takes them."""
    train = own["train"]
    shares = {"train": 1 - share, "validation": share}
    parts = stratify(labels[train], hashes[train], shares, None if groups is None else groups[train])
    return {**{name: train[part] for name, part in parts.items()}, **{k: own[k] for k in own if k != "train"}}


def stratify(
    labels: np.ndarray, hashes: np.ndarray, shares: Mapping[str, float], groups: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Divides examples so that each class is divided alike and no group is divided.

    Groups that are alike, with as many images of the same classes, are dealt out together, by largest remainder and
    the largest groups first. What the remainders leave open is given where least was given so far, above all of these
    classes, so that many small classes do not all lose their one spare example to the same split. The first split gets
    an example of every class. Without groups every example is one.

    Args:
        labels: int `[N]`.
        hashes: uint64 `[N]`, equal within a group; groups that are alike are dealt out in their order.
        shares: Split -> share of the examples; they add up to 1.
        groups: int `[N]`, equal for the examples that belong together.

    Returns:
        Split -> int64 places, ascending.

    Example:
        >>> labels, hashes = np.zeros(10, int), np.arange(10, dtype=np.uint64)
        >>> {name: len(places) for name, places in stratify(labels, hashes, {"train": 0.8, "test": 0.2}).items()}
        {'train': 8, 'test': 2}
    """
    wanted = np.array(list(shares.values()))
    given = np.zeros((len(shares), int(labels.max(initial=0)) + 1))  # examples of each class, by split
    owed, owed_in_all = np.zeros_like(given), np.zeros(len(shares))
    dealt: list[list[np.ndarray]] = [[] for _ in wanted]
    for alike in _strata(labels, hashes, groups):
        classes, each = np.unique(labels[alike[0]], return_counts=True)
        exact = len(alike) * wanted
        behind = owed_in_all + owed[:, classes] @ each / each.sum()
        claims = (exact - np.floor(exact)) * each.sum() + behind
        counts = _round(len(alike), exact, claims, given[0, classes])
        given[:, classes] += np.outer(counts, each)
        owed[:, classes] += np.outer(exact - counts, each)
        owed_in_all += (exact - counts) * each.sum()
        for part, chosen in zip(dealt, np.split(alike, np.cumsum(counts)[:-1]), strict=True):
            part.append(chosen.ravel())
    return {
        name: np.sort(np.concatenate(part)) if part else np.zeros(0, np.int64)
        for name, part in zip(shares, dealt, strict=True)
    }


def undersample(
    splits: Mapping[str, np.ndarray], labels: np.ndarray, hashes: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The same number of examples of each class within a split: as many as its rarest class has there.

    Args:
        splits: Name -> int64 places.
        labels: int `[N]`.
        hashes: uint64 `[N]`; of each class those with the smallest stay.

    Returns:
        Name -> int64 places, in the order given; and the places left out, ascending.
    """
    kept, left_out = {}, [np.zeros(0, np.int64)]
    for name, places in splits.items():
        counts = np.bincount(labels[places])
        by_class = np.lexsort((hashes[places], labels[places]))
        starts = np.cumsum(counts) - counts
        rank = np.empty(len(places), np.int64)  # of each example among those of its class
        rank[by_class] = np.arange(len(places)) - starts[labels[places][by_class]]
        stays = rank < counts[counts > 0].min(initial=len(places))
        kept[name] = places[stays]
        left_out.append(places[~stays])
    return kept, np.sort(np.concatenate(left_out))


def _strata(labels: np.ndarray, hashes: np.ndarray, groups: np.ndarray | None) -> Iterator[np.ndarray]:
    """The groups that are alike, int64 `[groups, size]`: a row a group, the rows in the order of their hashes."""
    if not len(labels):
        return
    number = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(number)
    members, starts = np.lexsort((labels, number)), np.cumsum(sizes) - sizes
    for size in np.unique(sizes)[::-1]:
        rows = members[starts[sizes == size][:, np.newaxis] + np.arange(size)]
        _, kind = np.unique(labels[rows], axis=0, return_inverse=True)  # a row's labels are sorted
        kind = kind.ravel()
        order = np.lexsort((hashes[rows[:, 0]], kind))
        yield from np.split(rows[order], np.flatnonzero(np.diff(kind[order])) + 1)


def _round(total: int, exact: np.ndarray, claims: np.ndarray, first_has: np.ndarray) -> np.ndarray:
    """`exact` as whole numbers that add up to `total`: rounded up where the claims are largest."""
    counts = np.floor(exact).astype(int)
    # shares of 0 get nothing; claims that are equal but for rounding come in the splits' order
    ranking = sorted(np.flatnonzero(exact > 0), key=lambda split: -round(claims[split], 9))
    if counts[0] == 0 and not first_has.all():  # no class without an example in the first split
        ranking.sort(key=lambda split: split != 0)
    counts[ranking[: total - counts.sum()]] += 1
    return counts
