"""From the labels of arrays to classes and their numbers."""

from collections.abc import Callable, Sequence

import numpy as np

from base.errors import input_error, require


def number_labels(
    arrays: dict[str, np.ndarray],
    class_names: Sequence[str],
    where: Callable[[str, int], str] = lambda name, index: f"{name}[{index}]",
) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """The classes, and each array's labels as places in them.

    Args:
        arrays: Name -> labels, whole numbers, booleans or strings, `[N]` or `[N, 1]`; the training labels first.
        class_names: Names of the labels 0 to K-1, or, for strings, the labels in their order. Empty: the classes are
            the sorted different labels of the first array.
        where: How errors name a label, by its array's name and its place in it.

    Returns:
        The classes' names, and int64 `[N]` for each array.

    Raises:
        InputError: Labels of another kind or shape, or outside the classes; it names the array and the index.
    """
    flat = {name: _flat(name, labels) for name, labels in arrays.items()}
    strings = {labels.dtype.kind == "U" for labels in flat.values()}
    dtypes = {name: str(labels.dtype) for name, labels in flat.items()}
    require(len(strings) == 1, "Expected labels of one kind in all arrays", dtypes=dtypes)
    if not class_names:
        known = np.unique(next(iter(flat.values())))
        classes = tuple(str(label) for label in known)
    else:
        classes = tuple(class_names)
        known = np.asarray(classes) if strings == {True} else np.arange(len(classes))
    return classes, [_places(name, labels, known, classes, where) for name, labels in flat.items()]


def _flat(name: str, labels: np.ndarray) -> np.ndarray:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    hint = "One-hot labels: give labels.argmax(axis=1)." if labels.ndim == 2 else "Give one label an image."
    require(labels.ndim == 1, f"Expected labels of shape [N] or [N, 1] in {name}", shape=labels.shape, do=hint)
    require(
        labels.dtype.kind in "biuUS",
        f"Expected whole numbers or strings as labels in {name}",
        dtype=str(labels.dtype),
        do="Convert them, for instance with labels.astype(int).",
    )
    if labels.dtype.kind == "S":
        try:
            return np.char.decode(labels, "utf-8")
        except UnicodeDecodeError as error:
            raise input_error(f"Expected labels in UTF-8 in {name}", error=str(error)) from None
    return labels


def _places(
    name: str, labels: np.ndarray, known: np.ndarray, classes: tuple[str, ...], where: Callable[[str, int], str]
) -> np.ndarray:
    order = np.argsort(known, kind="stable")
    found = np.searchsorted(known, labels, sorter=order).clip(max=len(known) - 1)
    places = order[found]
    outside = known[places] != labels
    if outside.any():
        index = int(np.argmax(outside))
        shown = ", ".join(map(str, known)) if len(known) <= 12 else f"{known[0]} to {known[-1]}"
        raise input_error(
            f"Expected each label of {name} to be one of the {len(classes)} classes ({shown})",
            place=where(name, index),
            label=labels[index].item(),
            do="Correct the label, or the classes (the training labels', or those of --class-names).",
        )
    return places.astype(np.int64)
