"""Shards -> batches. The resident reader: a split is decoded once into host memory, and every batch is one gather.

A batch is a dict:
    image    uint8 `[B, H, W, C]`, 0-255
    label    int32 `[B]`
    index    int64 `[B]`: the example's place in the split
    epoch    int64 `[B]`
    weight   float32 `[B]`: 0 for the padding of evaluation's last batch, else 1
"""

import dataclasses
from pathlib import Path

import numpy as np
import tensorflow as tf

from base.errors import input_error, require
from pipelines import decode, order, records
from pipelines.input_options import InputSpec
from pipelines.manifest import Manifest

_PARSED_AT_ONCE = 256  # parsing records in batches is five times faster than one by one


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResidentSplit:
    """A decoded split in host memory."""

    image: tf.Tensor  # uint8 [N, H, W, C]
    label: tf.Tensor  # int32 [N]
    id: tf.Tensor  # string [N]

    @property
    def examples(self) -> int:
        """N."""
        return self.image.shape[0]


def load(folder: Path, manifest: Manifest, split: str, spec: InputSpec) -> ResidentSplit:
    """Reads and decodes a whole split.

    Raises:
        InputError: No such split; a shard that is missing, of another size than the manifest says, or unreadable;
            too little memory.
    """
    files = _shard_files(folder, manifest, split)
    examples = manifest.split(split, folder).examples
    _require_memory(examples, spec, folder, split)
    dataset = (
        tf.data.TFRecordDataset(files, buffer_size=8 << 20)
        .batch(_PARSED_AT_ONCE)
        .map(records.parse, num_parallel_calls=tf.data.AUTOTUNE)
        .unbatch()
        .map(
            lambda record: {**record, "image": _decoded(record, manifest, spec)},
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .batch(_PARSED_AT_ONCE)
        .prefetch(2)
    )
    images = np.empty((examples, *spec.shape), np.uint8)
    labels, ids, read = [], [], 0
    try:
        for batch in dataset.as_numpy_iterator():
            images[read : read + len(batch["image"])] = batch["image"]
            labels.append(batch["label"])
            ids.append(batch["id"])
            read += len(batch["image"])
    except (tf.errors.OpError, ValueError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise input_error(
            f"Expected readable records in split {split!r} of {folder}", after_record=read, error=reason
        ) from None
    require(
        read == examples,
        f"Expected {examples} records in split {split!r} of {folder}, as its manifest says",
        found=read,
    )
    return ResidentSplit(
        image=tf.constant(images),
        label=tf.constant(np.concatenate(labels), tf.int32),
        id=tf.constant(np.concatenate(ids)),
    )


def training_batches(
    data: ResidentSplit, *, batch_size: int, seed: int, replicas: int = 1, start_step: int = 0
) -> tf.data.Dataset:
    """The endless, shuffled stream of training batches, a pure function of (seed, step).

    Args:
        data: The split.
        batch_size: Of one update over all replicas; a multiple of `replicas`.
        seed: Of the run.
        replicas: Each element is one replica's part: element `step * replicas + r` is part r of that step's batch.
        start_step: The step of the first batch.
    """
    part = batch_size // replicas

    def batch(element: tf.Tensor) -> dict[str, tf.Tensor]:
        positions = element * part + tf.range(part, dtype=tf.int64)
        index, epoch = order.training_order(positions, data.examples, seed)
        return _gather(data, index, epoch, tf.ones([part]))

    return _mapped(tf.data.Dataset.range(start_step * replicas, np.iinfo(np.int64).max), batch)


def evaluation_batches(data: ResidentSplit, *, batch_size: int, replicas: int = 1) -> tf.data.Dataset:
    """Every example once, in order; the last batch is padded with weight 0. Elements as in `training_batches`."""
    part = batch_size // replicas
    steps = -(-data.examples // batch_size)

    def batch(element: tf.Tensor) -> dict[str, tf.Tensor]:
        positions = element * part + tf.range(part, dtype=tf.int64)
        index, weight = order.evaluation_order(positions, data.examples)
        return _gather(data, index, tf.zeros_like(index), weight)

    return _mapped(tf.data.Dataset.range(steps * replicas), batch)


def _decoded(record: dict[str, tf.Tensor], manifest: Manifest, spec: InputSpec) -> tf.Tensor:
    if manifest.encoding == "raw":
        return decode.decode_raw(record["image"], (*manifest.image_shape, manifest.channels), spec)
    return decode.decode(record["image"], spec, record["orientation"])


def _gather(data: ResidentSplit, index: tf.Tensor, epoch: tf.Tensor, weight: tf.Tensor) -> dict[str, tf.Tensor]:
    return {
        "image": tf.gather(data.image, index),
        "label": tf.gather(data.label, index),
        "index": index,
        "epoch": epoch,
        "weight": weight,
    }


def _mapped(elements: tf.data.Dataset, batch) -> tf.data.Dataset:
    dataset = elements.map(batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    options = tf.data.Options()
    options.deterministic = True
    # One thread an operation: the batches are made side by side already (measured: faster, a third of the spread).
    options.threading.max_intra_op_parallelism = 1
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.with_options(options)


def _shard_files(folder: Path, manifest: Manifest, split: str) -> list[str]:
    files = []
    for shard in manifest.split(split, folder).shards:
        path = Path(folder) / shard.file
        size = path.stat().st_size if path.is_file() else None
        require(
            size == shard.bytes,
            f"Expected the shard {path} of {shard.bytes} bytes, as the manifest says",
            bytes=size,
            do="Convert the source again with --overwrite.",
        )
        files.append(str(path))
    return files


def _require_memory(examples: int, spec: InputSpec, folder: Path, split: str) -> None:
    # Twice: the tensor is a copy of the array that was filled.
    needed = 2 * examples * int(np.prod(spec.shape))
    available = _available_memory()
    require(
        available is None or needed < available,
        f"Expected {needed:,} bytes of free memory to hold split {split!r} of {folder} decoded at {spec.shape}",
        available=available,
        do="Choose a smaller --image-size.",
    )


def _available_memory() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:  # not Linux: let the allocation itself say it
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
