"""What makes a dataset folder a TFDS dataset too: `tfds.builder_from_directory(FOLDER)`."""

import re
from collections.abc import Mapping
from pathlib import Path

import tensorflow_datasets as tfds

from pipelines.manifest import Split

_VERSION = "1.0.0"


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
    channels: int,
    splits: Mapping[str, Split],
    record_bytes: Mapping[str, int],
) -> None:
    """Writes `dataset_info.json`, `features.json` and the classes' names into `folder`, beside its finished shards.

    Args:
        folder: Where the shards stand; its name does not matter, nor where it is moved to afterwards.
        classes: The classes' names.
        channels: What TFDS decodes every image to, 1 or 3.
        splits: By name.
        record_bytes: The size of each split's records.
    """
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, channels)),
            "label": tfds.features.ClassLabel(names=list(classes)),
            "id": tfds.features.Text(),
        }
    )
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
        data_dir=folder, features=features, split_infos=infos, version=_VERSION, check_data=False
    )
