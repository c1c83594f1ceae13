"""A small data set out of a large one, for what trains many times: as arrays and as a dataset folder."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from commands import run

from pipelines.manifest import read_manifest
from pipelines.records import parse


def fewer_images(data: Path, folder: Path, counts: Mapping[str, int]) -> tuple[Path, Path]:
    """The first images of each split, which `build_tfrecords.py` has shuffled.

    Args:
        data: A dataset folder whose images are all of one size, as Fashion-MNIST's.
        folder: Where to write, new.
        counts: Split -> how many images at most.

    Returns:
        An .npz file, `x_train` uint8 `[N, H, W, C]`, `y_train` int32 `[N]`, and so on, and the dataset folder that is
        made of it.
    """
    manifest = read_manifest(data)
    arrays = {}
    for name, count in counts.items():
        shards = [str(data / shard.file) for shard in manifest.split(name, data).shards]
        columns = parse(next(iter(tf.data.TFRecordDataset(shards).batch(count))))
        images = [tf.io.decode_image(image, channels=manifest.channels).numpy() for image in columns["image"]]
        arrays |= {f"x_{name}": np.stack(images), f"y_{name}": columns["label"].numpy().astype(np.int32)}
    folder.mkdir(parents=True)
    file, made = folder / "images.npz", folder / "data"
    np.savez(file, **arrays)
    run("scripts/build_tfrecords.py", file, "--out", made, "--quiet")
    return file, made
