"""From the SOURCE argument to a source."""

import re
from collections.abc import Callable
from pathlib import Path

from base.errors import input_error, require
from pipelines.sources import arrays, digits
from pipelines.sources.archive import compression
from pipelines.sources.archive_kinds import is_archive, is_npz, list_archive
from pipelines.sources.disk import list_folder
from pipelines.sources.folder import open_folder
from pipelines.sources.options import DIGITS, RECORDS, TFDS, SourceOptions
from pipelines.sources.records import open_records
from pipelines.sources.source import Source
from pipelines.sources.table import open_table
from pipelines.sources.tfds import FILES as TFDS_FILES
from pipelines.sources.tfds import open_tfds
from pipelines.sources.tree import Tree

KINDS = (
    "a folder of class folders or images, a .zip or .tar of one, a .csv or .tsv table, an .npz file, a folder of .npy "
    "or IDX files, tfds:NAME, the folder of a TFDS dataset, records:GLOB, or 'digits'"
)
_TABLE_OPTIONS = "image_column label_column split_column group_column image_suffix images delimiter"
_ONLY = {  # option -> the kinds of SOURCE that it says something about, and those kinds in words
    "label_pattern": ("images", "where SOURCE is a folder or archive of images"),
    "image_key": ("records", "where SOURCE holds TFRecords"),
    "label_key": ("records", "where SOURCE holds TFRecords"),
    "value_range": ("arrays", "where SOURCE holds arrays: image files say themselves what their values mean"),
    **dict.fromkeys(_TABLE_OPTIONS.split(), ("table", "where SOURCE is a table")),
}
_PICKLE = re.compile(rb"\x80[\x02-\x05]")
_PICKLE_NAME = re.compile(r"(data_batch_\d|test_batch|batches\.meta|train|test|meta|.*\.(pkl|pickle|p))", re.IGNORECASE)


def open_source(options: SourceOptions) -> Source:
    """Lists the images of a source.

    Args:
        options: Where it lies, and what is said about it. A folder that is called digits is `./digits`.

    Raises:
        InputError: Nothing there, nothing in it, something that can't be labelled images, or an option that says
            nothing about a source of this kind.
    """
    try:
        kind, opened = _choose(options)
    except OSError as error:
        error_text = error.strerror or str(error)
        raise input_error("Expected a readable SOURCE", source=options.source, error=error_text) from None
    for name, (wanted, where) in _ONLY.items():
        flag = f"--{name.replace('_', '-')}"
        given = options.changed().get(name)
        fits, do = given is None or kind == wanted, "Leave the option out."
        require(fits, f"Expected {flag} only {where}", source=options.source, given=given, do=do)
    return opened()


def _choose(options: SourceOptions) -> tuple[str, Callable[[], Source]]:
    """The kind of the source, and what opens it."""
    name = options.source
    if name == DIGITS:
        return "digits", lambda: digits.open_digits(options.class_names)
    if name.startswith(RECORDS):
        return "records", lambda: open_records(options)
    if name.startswith(TFDS):
        return "records", lambda: open_tfds(options)
    path = Path(name)
    expected = f"Expected SOURCE to be {KINDS}"
    require(path.exists(), expected, source=name, do="There is nothing at that path.")
    return _choose_folder(path, options) if path.is_dir() else _choose_file(path, options)


def _choose_folder(path: Path, options: SourceOptions) -> tuple[str, Callable[[], Source]]:
    names = sorted(entry.name for entry in path.iterdir())
    common = (path, options.class_names, options.value_range)
    if all(name in names for name in TFDS_FILES):
        return "records", lambda: open_tfds(options)
    if any(arrays.IDX_FILE.fullmatch(name) for name in names):
        return "arrays", lambda: arrays.open_idx(*common)
    if any(arrays.NPY_FILE.fullmatch(name) for name in names):
        return "arrays", lambda: arrays.open_npy(*common)
    for name in names:
        if _PICKLE_NAME.fullmatch(name) and (path / name).is_file():
            _refuse_pickle(path / name)
    return "images", lambda: _open_images(list_folder(path), options)


def _choose_file(path: Path, options: SourceOptions) -> tuple[str, Callable[[], Source]]:
    with path.open("rb") as file:
        start = file.read(512)
    if is_npz(path):
        return "arrays", lambda: arrays.open_npz(path, options.class_names, options.value_range)
    if is_archive(path, start):
        return "images", lambda: _open_images(list_archive(path), options)
    _refuse_pickle(path)
    do = ""
    if kind := compression(start):
        do = f"This file is compressed with {kind} as a whole: decompress it."
    elif path.suffix == ".npy":
        do = "Give the folder of the .npy files: images.npy and labels.npy, or x_train.npy and y_train.npy."
    elif b"\0" in start:
        do = "This file is none of them."
    require(not do, f"Expected SOURCE to be {KINDS}", source=options.source, do=do)
    return "table", lambda: open_table(path, options)


def _open_images(tree: Tree, options: SourceOptions) -> Source:
    return open_folder(tree, options.class_names, options.label_pattern)


def _refuse_pickle(path: Path) -> None:
    with path.open("rb") as file:
        pickled = _PICKLE.match(file.read(2))
    expected = "Expected no pickled file in SOURCE: reading a pickle runs whatever code it holds"
    do = "Save its arrays as .npz from a program that you trust, or take the set from tfds: (tfds:cifar10)."
    require(not pickled, expected, file=str(path), do=do)
