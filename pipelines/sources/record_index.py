"""Where the images of others' TFRecords lie, and what their labels are: listed once, then read in any order."""

import array
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from base.errors import input_error
from pipelines.sources.example import NotAnExampleError, Value, find_features, names_of
from pipelines.sources.source import Problem, Unreadable
from pipelines.sources.tfrecord import list_records, read_record

_UNLABELLED = -1  # as TFDS and others mark it


@dataclasses.dataclass(frozen=True, kw_only=True)
class Keys:
    """The names of the features that are wanted."""

    image: str
    label: str
    text: str = ""  # the class's name in words; "": none
    id: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """The images of some files, in their order."""

    files: Sequence[Path]
    file: np.ndarray  # int64 [N], places in `files`
    record: np.ndarray  # int64 [N, 2], the record's offset in its file and its length
    image: np.ndarray  # int64 [N, 2], the image's offset in the record and its length
    labels: list[int] | list[str]
    texts: dict[int | str, set[str]]  # label -> the names that it has
    ids: list[str]
    problems: list[Problem]

    def read(self, place: int) -> bytes | Unreadable:
        """An image's bytes."""
        record = read_record(self.files[self.file[place]], *self.record[place].tolist())
        if isinstance(record, Unreadable):
            return record
        start, size = self.image[place].tolist()
        return record[start : start + size]


def index(files: Sequence[Path], names: Sequence[str], keys: Keys, source: str) -> Found:
    """Looks at every record, without reading its image.

    Args:
        files: TFRecord files.
        names: What they are called in ids.
        keys: The features wanted.
        source: As errors name it.

    Raises:
        InputError: What `list_records` refuses, or not one image with a label.
    """
    labels, ids, texts, problems = [], [], {}, []
    where = array.array("q")  # file; offset and length of the record; of the image in it
    wanted = {key.encode() for key in dataclasses.astuple(keys) if key}
    for number, (path, name) in enumerate(zip(files, names, strict=True)):
        for count, (offset, record) in enumerate(list_records(path)):
            id = f"{name}[{count}]"
            try:
                if record is None:
                    raise NotAnExampleError("the file is cut or broken here: what follows can't be found")
                features = find_features(record, wanted)
                start, end = _image(features.get(keys.image.encode()), keys)
                label = _label(features.get(keys.label.encode()), keys, record, type(labels[0]) if labels else None)
            except NotAnExampleError as error:
                problems.append(Problem(id, str(error)))
                continue
            where.extend((number, offset, len(record), start, end - start))
            labels.append(label)
            ids.append(_text(features.get(keys.id.encode()), record) or id)
            if text := _text(features.get(keys.text.encode()), record):
                texts.setdefault(label, set()).add(text)
    if not labels:
        raise _nothing(files, keys, problems, source)
    places = np.array(where).reshape(-1, 5)
    return Found(
        files=files,
        file=places[:, 0],
        record=places[:, 1:3],
        image=places[:, 3:],
        labels=labels,
        texts=texts,
        ids=ids,
        problems=problems,
    )


def _image(value: Value, keys: Keys) -> tuple[int, int]:
    if not value or not isinstance(value[0], tuple) or len(value) != 1:
        raise NotAnExampleError(f"no image in the feature {keys.image!r}")
    return value[0]


def _label(value: Value, keys: Keys, record: memoryview, kind: type | None) -> int | str:
    if not value or len(value) != 1:
        raise NotAnExampleError(f"no label in the feature {keys.label!r}")
    label = value[0] if isinstance(value[0], int) else _text(value, record)
    if label in (_UNLABELLED, ""):
        raise NotAnExampleError(f"its label in the feature {keys.label!r} says that it has none: {label!r}")
    if kind not in (type(label), None):
        raise NotAnExampleError(f"its label is {label!r}, where others are {'numbers' if kind is int else 'texts'}")
    return label


def _text(value: Value, record: memoryview) -> str:
    if not value or not isinstance(value[0], tuple):
        return ""
    return bytes(record[slice(*value[0])]).decode("utf-8", "backslashreplace").strip()


def _nothing(files: Sequence[Path], keys: Keys, problems: Sequence[Problem], source: str) -> Exception:
    first = next((record for path in files for _, record in list_records(path) if record is not None), None)
    try:
        features = [] if first is None else names_of(first)
    except (NotAnExampleError, IndexError):
        features = []
    return input_error(
        f"Expected records with an image in {keys.image!r} and a label in {keys.label!r}",
        source=source,
        first=f"{problems[0].id}: {problems[0].reason}" if problems else "no records",
        features=features,
        do="Name the features with --image-key and --label-key.",
    )
