"""Arrays of images and labels as a source: an .npz file, or a folder of .npy or IDX files."""

import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from base.errors import InputError, input_error, require
from pipelines.sources.idx import read_idx
from pipelines.sources.labels import number_labels
from pipelines.sources.source import Source
from pipelines.sources.split_names import SPLIT_NAMES
from pipelines.sources.values import find_top, to_uint8

_SPLITS = "|".join(SPLIT_NAMES)
_NPZ_KEY = re.compile(rf"(?:({_SPLITS})_)?(?:(x|images?)|(y|labels?))(?:_({_SPLITS}))?", re.IGNORECASE)
NPY_FILE = re.compile(rf"({_NPZ_KEY.pattern}|classes)\.npy", re.IGNORECASE)
IDX_FILE = re.compile(rf"(?:.*[-_.])?({_SPLITS}|t10k)[-_.](images|labels)[-_.]idx\d[-_.]\w+(\.gz)?", re.IGNORECASE)

Part = tuple[str, np.ndarray, str, np.ndarray]  # name of the images, images, name of the labels, labels


def open_npz(path: Path, class_names: Sequence[str], value_range: str) -> Source:
    """The arrays of an .npz file: `x_train` and `y_train` (`x_test`, `x_val`, ...), or `x` and `y`.

    Also `images` and `labels`, `train_images` and `train_labels`; `classes` may hold the classes' names.

    Raises:
        InputError: No such arrays, one without the other, pickled objects, or what `from_arrays` refuses.
    """
    return _named(path, _load_npz(path), class_names, value_range)


def open_npy(folder: Path, class_names: Sequence[str], value_range: str) -> Source:
    """A folder of .npy files that are called as the arrays of an .npz file are: `x_train.npy`, `y_train.npy`, ...

    The files stay on disk: what is read of them is read when it is wanted.

    Raises:
        InputError: As `open_npz`.
    """
    content = {path.stem: _load_npy(path) for path in sorted(folder.iterdir()) if NPY_FILE.fullmatch(path.name)}
    return _named(folder, content, class_names, value_range)


def open_idx(folder: Path, class_names: Sequence[str], value_range: str) -> Source:
    """A folder of IDX files, `train-images-idx3-ubyte[.gz]`, `train-labels-idx1-ubyte[.gz]`, `t10k-...` as test.

    Raises:
        InputError: Images without labels or labels without images, broken files, or what `from_arrays` refuses.
    """
    files: dict[str, Path] = {}
    found: dict[str | None, dict[str, str]] = {}
    for path in sorted(folder.iterdir()):
        match = IDX_FILE.fullmatch(path.name)
        if match is None:
            continue
        split = "test" if match[1].lower() == "t10k" else SPLIT_NAMES[match[1].lower()]
        name = path.name.removesuffix(".gz")
        if name not in files:  # sorted: an unpacked file comes before its own .gz, and is read faster
            files[name] = path
            _put(found, split, match[2].lower(), name, str(folder))
    content = {name: read_idx(path) for name, path in files.items()}
    parts = _pairs(found, content, str(folder), "train-images-idx3-ubyte and train-labels-idx1-ubyte")
    return from_arrays(str(folder), parts, class_names=class_names, value_range=value_range)


def _named(path: Path, content: Mapping[str, np.ndarray], class_names: Sequence[str], value_range: str) -> Source:
    """Arrays by their usual names."""
    found: dict[str | None, dict[str, str]] = {}
    aside = []
    for key in sorted(content):
        match = _NPZ_KEY.fullmatch(key)
        if match is None or (match[1] and match[4]):
            aside += [key] if key.lower() != "classes" else []
            continue
        split = SPLIT_NAMES.get((match[1] or match[4] or "").lower())
        role = "images" if match[2] else "labels"
        _put(found, split, role, key, str(path))
    parts = _pairs(found, content, str(path), "x_train and y_train, or x and y")
    names = next((content[key] for key in content if key.lower() == "classes"), None)
    if names is not None and not class_names:
        require(names.ndim == 1 and names.dtype.kind == "U", "Expected `classes` of strings, [K]", file=str(path))
        class_names = [str(name) for name in names]
    notes = (f"arrays left aside: {', '.join(aside)}",) if aside else ()
    return from_arrays(str(path), parts, class_names=class_names, value_range=value_range, notes=notes)


def from_arrays(
    name: str,
    parts: Mapping[str | None, Part],
    *,
    class_names: Sequence[str] = (),
    value_range: str = "auto",
    notes: tuple[str, ...] = (),
) -> Source:
    """A source of arrays.

    Args:
        name: The source, as errors name it.
        parts: Split, or None for the only one of a source without splits -> (name, images, name, labels); images
            `[N, H, W]` or `[N, H, W, C]`, C 1 or 3, of any real dtype; labels as `number_labels` takes them.
        class_names: As `number_labels` takes them.
        value_range: As `find_top` takes it.
        notes: What the caller has to tell the user.

    Raises:
        InputError: Anything in the arrays that can't be labelled images; it names the array and the index.
    """
    order = sorted(parts, key=lambda split: split not in ("train", None))
    images = {parts[split][0]: _as_images(*parts[split]) for split in order}
    top, detected = find_top(images, value_range)
    classes, labels = number_labels({parts[split][2]: parts[split][3] for split in order}, class_names)
    ends = np.cumsum([len(array) for array in images.values()])
    spans = [np.arange(end - len(array), end) for end, array in zip(ends, images.values(), strict=True)]
    starts, arrays = [int(span[0]) for span in spans], list(images.values())

    def read(places: Sequence[int]) -> np.ndarray | list[np.ndarray]:
        chosen = np.asarray(places)
        part = np.searchsorted(ends, chosen, side="right")
        if part.min() == part.max():
            return to_uint8(arrays[part[0]][chosen - starts[part[0]]], top)
        return [to_uint8(arrays[n][place - starts[n]], top) for n, place in zip(part, chosen, strict=True)]

    return Source(
        name=name,
        classes=classes,
        ids=[f"{key}[{index}]" for key, array in images.items() for index in range(len(array))],
        labels=np.concatenate(labels),
        splits=None if None in parts else dict(zip(order, spans, strict=True)),
        read=read,
        at_once=256,
        notes=notes + ((detected,) if detected else ()),
    )


def _as_images(name: str, images: np.ndarray, labels_name: str, labels: np.ndarray) -> np.ndarray:
    """`images` as `[N, H, W, C]`."""
    form = f"Expected images of shape [N, H, W] or [N, H, W, C], C 1 or 3, in {name}"
    first = images.ndim == 4 and images.shape[1] in (1, 3) and images.shape[3] not in (1, 3)
    hint = "Put the channels last: images.transpose(0, 2, 3, 1)." if first else ""
    fits = images.ndim == 3 or (images.ndim == 4 and images.shape[3] in (1, 3))
    require(fits and images.size > 0, form, shape=images.shape, do=hint)
    require(
        labels.shape[:1] == images.shape[:1],
        f"Expected as many labels in {labels_name} as images in {name}",
        images=images.shape,
        labels=labels.shape,
    )
    return images if images.ndim == 4 else images[..., np.newaxis]


def _put(found: dict[str | None, dict[str, str]], split: str | None, role: str, key: str, source: str) -> None:
    other = found.setdefault(split, {}).setdefault(role, key)
    require(
        other == key,
        f"Expected one array of {role} for {split or 'all'} in {source}",
        arrays=[other, key],
        do="Keep one of them.",
    )


def _pairs(
    found: Mapping[str | None, dict[str, str]], content: Mapping[str, np.ndarray], source: str, example: str
) -> dict[str | None, Part]:
    """Images with their labels, split by split."""
    complete = {split for split, roles in found.items() if len(roles) == 2}
    for split, roles in found.items():
        missing = {"images", "labels"} - set(roles)
        require(
            not missing,
            f"Expected images and labels together in {source}",
            only=next(iter(roles.values())),
            do=f"The {'/'.join(missing)} of {split or 'these images'} are missing.",
        )
    if not ({None} == complete or "train" in complete and None not in complete):
        raise input_error(f"Expected arrays such as {example} in {source}", arrays=sorted(content))
    return {
        split: (roles["images"], content[roles["images"]], roles["labels"], content[roles["labels"]])
        for split, roles in found.items()
    }


def _load_npy(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _unreadable(path, error) from None


def _load_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            content = {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _unreadable(path, error) from None
    others = [key for key, value in content.items() if not isinstance(value, np.ndarray)]
    require(not others, "Expected an .npz file of arrays", file=str(path), holds=others[:5])
    return content


def _unreadable(path: Path, error: Exception) -> InputError:
    pickled = any(word in str(error) for word in ("pickle", "Python objects"))
    return input_error(
        "Expected a file of plain arrays",
        file=str(path),
        error="it holds pickled objects" if pickled else str(error),
        do="Reading a pickle runs code: save numbers or strings." if pickled else "",
    )
