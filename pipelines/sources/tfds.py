"""TensorFlow Datasets as a source: `tfds:NAME[/CONFIG]`, or the folder of a set that is prepared.

TFDS is asked for what it knows of the set: files, splits, features, names of classes. The records are read as any
others are, so that image files stay as they are: TFDS would decode them.
"""

import difflib
import math
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from base.errors import input_error, require
from base.native_log import captured
from pipelines.sources.labels import number_labels
from pipelines.sources.options import TFDS, SourceOptions
from pipelines.sources.record_index import Found, Keys, index
from pipelines.sources.source import Source, Unreadable

FILES = ("dataset_info.json", "features.json")  # by these a prepared folder is known


def open_tfds(options: SourceOptions) -> Source:
    """The images of a set of TFDS, which is downloaded and prepared where it has not been yet ($TFDS_DATA_DIR).

    Raises:
        InputError: No such set, no network, or not one image and one label an example.
    """
    tfds = _import()
    builder = _builder(tfds, options.source)
    info = builder.info
    image_key, image = _feature(info, options.image_key, _is_image(tfds), 0, "--image-key")
    label_key, label = _feature(info, options.label_key, _is_label(tfds), 1, "--label-key")
    kind = str(info.file_format.value if info.file_format else "tfrecord")
    do = "Prepare the set again with file_format='tfrecord'."
    require(kind == "tfrecord", "Expected a TFDS set in TFRecord files", source=options.source, file_format=kind, do=do)
    splits = {name: [Path(path) for path in split.filepaths] for name, split in info.splits.items()}
    files = [path for paths in splits.values() for path in paths]
    has_id = "id" in info.features and isinstance(info.features["id"], tfds.features.Text)
    keys = Keys(image=image_key, label=label_key, id="id" if has_id else "")
    found = index(files, [path.name for path in files], keys, options.source)
    ids = found.ids if len(set(found.ids)) == len(found.ids) else _by_record(found)
    names = options.class_names or tuple(getattr(label, "names", None) or ())
    classes, (labels,) = number_labels(
        {f"feature {label_key!r}": np.array(found.labels)}, names, lambda _, place: ids[place]
    )
    split_of = np.repeat(list(splits), [len(paths) for paths in splits.values()])[found.file]
    own = {str(name): np.flatnonzero(split_of == name) for name in splits}
    return Source(
        name=options.source,
        classes=classes,
        ids=ids,
        labels=labels,
        splits={name: places for name, places in own.items() if len(places)},
        read=_reader(found, tfds, image),
        at_once=4,
        sizes=found.image[:, 1],
        problems=tuple(found.problems),
    )


def _import() -> ModuleType:
    with captured():  # TensorFlow has much to say
        import tensorflow_datasets as tfds
    return tfds


def _builder(tfds: ModuleType, source: str) -> Any:
    """The set's builder, its files on this machine."""
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError
    from tensorflow_datasets.core.download.extractor import ExtractError
    from tensorflow_datasets.core.download.util import DownloadError

    try:
        if not source.startswith(TFDS):
            return tfds.builder_from_directory(source)
        builder = tfds.builder(source.removeprefix(TFDS), data_dir=os.environ.get("TFDS_DATA_DIR"))
        if not builder.is_prepared():
            print(f"{source}: downloading and preparing it in {builder.data_dir}", flush=True)
            builder.download_and_prepare()
        return builder
    except tfds.core.DatasetNotFoundError:
        name = source.removeprefix(TFDS).split("/")[0]
        known = tfds.list_builders(with_community_datasets=False)  # those of others are looked up over the network
        close = difflib.get_close_matches(name, known, n=1)
        do = f"Did you mean {close[0]!r}?" if close else "See https://www.tensorflow.org/datasets/catalog."
        raise input_error("Expected a set that TFDS knows", source=source, do=do) from None
    except (OSError, ValueError, AssertionError, DownloadError, ExtractError, NonMatchingChecksumError) as error:
        expected = "Expected a set that TFDS can open"
        raise input_error(expected, source=source, error=" ".join(str(error).split())[:300]) from None


def _is_image(tfds: ModuleType) -> Callable[[Any], bool]:
    def fits(feature: Any) -> bool:
        pixels = isinstance(feature, tfds.features.Tensor) and len(feature.shape) in (2, 3)
        return isinstance(feature, tfds.features.Image) or (pixels and np.dtype(feature.np_dtype) == np.uint8)

    return fits


def _is_label(tfds: ModuleType) -> Callable[[Any], bool]:
    def fits(feature: Any) -> bool:  # a ClassLabel is a Tensor too
        number = isinstance(feature, tfds.features.Tensor) and not feature.shape
        return number and np.issubdtype(feature.np_dtype, np.integer)

    return fits


def _feature(info: Any, given: str, fits: Callable[[Any], bool], supervised: int, flag: str) -> tuple[str, Any]:
    """The feature that is named, that TFDS itself trains with, or that is the only one to fit."""
    features = {name: info.features[name] for name in info.features}
    name = given or (info.supervised_keys[supervised] if info.supervised_keys else "")
    if not name:
        fitting = [name for name, feature in features.items() if fits(feature)]
        exact = [name for name in fitting if name == ("image", "label")[supervised]]
        require(len(exact or fitting) == 1, f"Expected {flag} to choose a feature", fitting=fitting, all=list(features))
        name = (exact or fitting)[0]
    kind = ("an image", "a class label")[supervised]
    if not isinstance(name, str) or name not in features or not fits(features[name]):
        fitting = sorted(name for name, feature in features.items() if fits(feature))
        raise input_error(f"Expected a feature that is {kind}", feature=name, fitting=fitting, do=f"See {flag}.")
    return name, features[name]


def _reader(found: Found, tfds: ModuleType, image: Any) -> Callable[..., list[bytes | np.ndarray | Unreadable]]:
    if isinstance(image, tfds.features.Image):
        dtype = np.dtype(image.np_dtype)
        require(dtype == np.uint8, "Expected images of 8 bits", dtype=str(dtype))
        return lambda places: [found.read(place) for place in places]
    shape, encoding = (*image.shape, 1)[:3], image.to_json_content().encoding
    fits = encoding == "bytes" and None not in shape and shape[2] in (1, 3)
    expected = "Expected pixels [H, W, C] of one size, C 1 or 3, kept as bytes"
    require(fits, expected, shape=image.shape, encoding=encoding)

    def read(places: Any) -> list[np.ndarray | Unreadable]:
        return [_pixels(found.read(place), shape) for place in places]

    return read


def _pixels(data: bytes | Unreadable, shape: tuple[int, ...]) -> np.ndarray | Unreadable:
    if isinstance(data, Unreadable):
        return data
    if len(data) != math.prod(shape):
        return Unreadable(f"{len(data)} bytes, where {shape} pixels take {math.prod(shape)}")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _by_record(found: Found) -> list[str]:
    return [f"{found.files[file].name}@{offset}" for file, offset in zip(found.file, found.record[:, 0], strict=True)]
