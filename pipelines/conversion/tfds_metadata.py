"""What makes a dataset folder a TFDS dataset too: `tfds.builder_from_directory(FOLDER)`."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from pipelines.images.form import Encoding
from pipelines.manifest import Split

_VERSION = "1.0.0"
_KEPT = (
    "The image files are kept as they were. TFDS decodes them as they are stored: it does not turn them as EXIF says, "
    "which is what `orientation` (1 to 8) is for."
)


def dataset_name(folder: str) -> str:
    """`folder`'s name as TFDS allows it: lower case, digits and underscores, a letter first.

    Example:
        >>> dataset_name("2024 Cats-vs-Dogs")
        'd_2024_cats_vs_dogs'
    """
    name = re.sub(r"[^a-z0-9]+", "_", folder.lower()).strip("_")
    return name if name[:1].isalpha() else f"d_{name}".rstrip("_")


def write_tfds_metadata(
    folder: Path,
    *,
    classes: tuple[str, ...],
    encoding: Encoding,
    shape: tuple[int | None, int | None, int],
    splits: Mapping[str, Split],
    record_bytes: Mapping[str, int],
) -> None:
    """Writes `dataset_info.json`, `features.json` and the classes' names into `folder`, beside its finished shards.

    Args:
        folder: Where the shards stand; its name does not matter, nor where it is moved to afterwards.
        classes: The classes' names.
        encoding: Of the records.
        shape: (height, width, channels) that TFDS decodes images to; None where they differ.
        splits: By name.
        record_bytes: The size of each split's records.
    """
    kept = encoding == "keep"
    if encoding == "raw":
        image = tfds.features.Tensor(shape=shape, dtype=np.uint8, encoding="bytes")
    else:
        image = tfds.features.Image(shape=(None, None, shape[-1]) if kept else shape)
    features = {"image": image, "label": tfds.features.ClassLabel(names=list(classes)), "id": tfds.features.Text()}
    if kept:
        features["orientation"] = tfds.features.Scalar(np.int64)
    template = tfds.core.ShardedFileTemplate(data_dir=folder, template=tfds.core.naming.DEFAULT_FILENAME_TEMPLATE)
    infos = [
        tfds.core.SplitInfo(
            name=name,
            shard_lengths=[shard.examples for shard in split.shards],
            num_bytes=record_bytes[name],
            filename_template=template.replace(split=name),
        )
        for name, split in splits.items()
    ]
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=tfds.features.FeaturesDict(features),
        split_infos=infos,
        version=_VERSION,
        check_data=False,
        description=_KEPT if kept else None,
    )
