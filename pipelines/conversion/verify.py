"""Reads a whole dataset back, and finds what has happened to it since it was written."""

import functools
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError

from base.errors import InputError, input_error, require
from pipelines.images.encoded import encode_file
from pipelines.images.form import Form
from pipelines.images.header import UndecodableError, read_header
from pipelines.manifest import Manifest, Shard
from pipelines.native_errors import reason_of

_ANY_SIZE = 2**62  # the conversion has judged it


def verify(
    folder: Path,
    manifest: Manifest,
    *,
    threads: int,
    progress: Callable[[int, int], None] = lambda images, bytes: None,
) -> None:
    """Reads every record of every shard: TFRecord's checksums, the Example, its label and image, their number.

    Then the shard's own checksum, and whether the dataset's other files are there.

    Args:
        folder: The dataset.
        manifest: Its manifest.
        threads: How many shards are read at once.
        progress: Called with the numbers of records and of bytes of each shard that is whole.

    Raises:
        InputError: Something is wrong; it names the first bad shard, in the manifest's order, and the first bad
            record in it.
    """
    missing = [name for name in manifest.files if not (folder / name).is_file()]
    require(not missing, f"Expected every file of the dataset in {folder}", missing=missing[:5])
    shards = [shard for split in manifest.splits.values() for shard in split.shards]
    with ThreadPoolExecutor(threads) as pool:
        try:
            check = functools.partial(_check_shard, folder, manifest)
            for shard, error in zip(shards, pool.map(check, shards), strict=True):
                if error is not None:
                    raise error
                progress(shard.examples, shard.bytes)
        finally:
            pool.shutdown(cancel_futures=True)


def _check_shard(folder: Path, manifest: Manifest, shard: Shard) -> InputError | None:
    path = folder / shard.file
    read = 0
    try:
        with tf.device("/CPU:0"):
            for record in tf.data.TFRecordDataset(str(path), buffer_size=1 << 20):
                _check_record(record.numpy(), manifest)
                read += 1
    except (tf.errors.OpError, UndecodableError, ValueError) as error:
        reason = reason_of(error)
        return _bad(path, f"Expected record {read} of the shard to be whole", record=read, error=reason[:300])
    if read != shard.examples:
        return _bad(path, f"Expected {shard.examples} records in the shard", records=read)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 != shard.sha256:
        return _bad(path, "Expected the shard's checksum to be the manifest's: it has been changed", sha256=sha256)
    return None


def _bad(path: Path, expected: str, **received: object) -> InputError:
    do = "Convert the source again with --overwrite."
    return input_error(expected, shard=str(path), **received, do=do)


def _check_record(record: bytes, manifest: Manifest) -> None:
    """Raises `ValueError` or `UndecodableError` where a record is not what the manifest says."""
    try:
        features = tf.train.Example.FromString(record).features.feature
    except DecodeError as error:
        raise ValueError(f"no Example: {error}") from None
    image, label = features["image"].bytes_list.value, features["label"].int64_list.value
    if len(image) != 1 or len(label) != 1 or not 0 <= label[0] < len(manifest.classes):
        raise ValueError(f"{len(image)} images, labels {list(label)}: not one of each, or of none of the classes")
    if manifest.encoding != "raw":
        header = read_header(image[0], _ANY_SIZE)
        encode_file(image[0], header, Form(encoding="keep"), checked=True, in_full=False)
    elif len(image[0]) != manifest.image_shape[0] * manifest.image_shape[1] * manifest.channels:
        raise ValueError(f"{len(image[0])} bytes of pixels")
