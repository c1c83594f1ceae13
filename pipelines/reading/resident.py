"""A split that is held in host memory: every batch is gathered from it, in any order, from any step on."""

import dataclasses
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipelines.images import windows
from pipelines.images.frames import Frames
from pipelines.reading import order
from pipelines.reading.held import held_bytes
from pipelines.reading.parts import Parts
from pipelines.reading.split_files import SplitFiles
from pipelines.reading.stages import Stages

_LOADED_AT_ONCE = 8 << 20  # bytes of frames
_ALIGNMENT = 64  # of TensorFlow's tensors: anything else would be copied
Batch = dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resident:
    """A split in memory: frames, or encoded images where a window of each is decoded in every epoch."""

    image: tf.Tensor  # [N, *frames.shape]: uint8 pixels, or the floats of stored features; or string [N]
    label: tf.Tensor  # int32 [N]
    orientation: tf.Tensor | None  # int64 [N], with encoded images
    sizes: tf.Tensor | None  # int32 [N, 2]: height, width as stored, with encoded images
    frames: Frames
    stages: Stages
    held: str = ""  # where processes have it in common, or why they have not, as it is said to the user

    @property
    def examples(self) -> int:
        """N."""
        return self.label.shape[0]

    def training_batches(self, parts: Parts, *, seed: int, start_step: int = 0, balanced: bool = False):
        """See `reader.Reader`.

        Args:
            parts: How batches are cut.
            seed: Of the run.
            start_step: The step of the first batch.
            balanced: All classes equally often, as `order.balanced_order` has it; each needs an example.
        """
        classes = self._classes() if balanced else None

        def batch(element: tf.Tensor) -> Batch:
            positions = parts.positions(element)
            if balanced:
                index, epoch = order.balanced_order(positions, classes, seed)
            else:
                index, epoch = order.training_order(positions, self.examples, seed)
            return self._batch(index, epoch, tf.ones([parts.size]))

        first = start_step * parts.own
        return self._mapped(tf.data.Dataset.range(first, np.iinfo(np.int64).max), batch)

    def evaluation_batches(self, parts: Parts) -> tf.data.Dataset:
        """See `reader.Reader`."""

        def batch(element: tf.Tensor) -> Batch:
            index, weight = order.evaluation_order(parts.positions(element), self.examples)
            return self._batch(index, tf.zeros_like(index), weight)

        return self._mapped(tf.data.Dataset.range(parts.steps(self.examples) * parts.own), batch)

    def _batch(self, index: tf.Tensor, epoch: tf.Tensor, weight: tf.Tensor) -> Batch:
        if self.sizes is None:
            image = tf.gather(self.image, index)
        else:
            image = self.frames.cropped(
                lambda place: tf.gather(self.image, index[place]),
                tf.gather(self.sizes, index),
                tf.gather(self.orientation, index),
                epoch,
                index,
            )
        return {
            "image": image,
            "label": tf.gather(self.label, index),
            "index": index,
            "epoch": epoch,
            "weight": weight,
        }

    def _mapped(self, elements: tf.data.Dataset, batch: Callable[[tf.Tensor], Batch]) -> tf.data.Dataset:
        return self.stages.finished(self.stages.mapped(elements, batch))

    def _classes(self) -> order.Classes:
        count = np.bincount(self.label.numpy())
        return order.Classes(
            members=tf.constant(np.argsort(self.label.numpy(), kind="stable"), tf.int64),
            start=tf.constant(np.cumsum(count) - count, tf.int64),
            count=tf.constant(count, tf.int64),
        )


def load(files: SplitFiles, frames: Frames, stages: Stages, hold_in: Path | None = None) -> Resident:
    """Reads a whole split.

    Args:
        files: Of the split.
        frames: What its images become. With a crop the encoded images are held, else the frames.
        stages: Threads and buffers, for loading and afterwards.
        hold_in: A folder by which processes of this machine have their frames in common; None: this one has its own.

    Raises:
        tf.errors.OpError: A record that can't be used; see `SplitFiles.culprit`.
    """
    with tf.device("/CPU:0"):  # a GPU would take the whole split
        return _load_encoded(files, frames, stages) if frames.crop else _load_frames(files, frames, stages, hold_in)


def resident_bytes(files: SplitFiles, frames: Frames) -> int:
    """What `load` would take."""
    return files.bytes if frames.crop else files.split.examples * frames.bytes


def _load_frames(files: SplitFiles, frames: Frames, stages: Stages, hold_in: Path | None) -> Resident:
    count = files.split.examples
    room = -(-count * frames.bytes // _ALIGNMENT) * _ALIGNMENT  # the labels follow, aligned

    def fill(memory: np.ndarray) -> None:
        images, labels = _columns(memory, room, count, frames)
        _read_frames(files, frames, stages, images, labels)

    memory, held = None, ""
    if hold_in is not None:
        try:
            memory = held_bytes(hold_in, _name(files, frames), room + 4 * count, fill)
            held = f", held in {hold_in}"
        except OSError as error:  # what is not in common is as good, and takes more memory
            held = f", not held in {hold_in}: {error.strerror}"
    if memory is None:
        memory = _empty(room + 4 * count)
        fill(memory)
    images, labels = _columns(memory, room, count, frames)
    return Resident(
        image=_shared(images, frames.dtype),
        label=tf.constant(labels),
        orientation=None,
        sizes=None,
        frames=frames,
        stages=stages,
        held=held,
    )


def _columns(memory: np.ndarray, room: int, count: int, frames: Frames) -> tuple[np.ndarray, np.ndarray]:
    """Views of the memory of a split: frames `[N, *frames.shape]`, labels int32 `[N]`."""
    images = memory[: count * frames.bytes].view(frames.dtype.as_numpy_dtype)
    return images.reshape(count, *frames.shape), memory[room:].view(np.int32)


def _read_frames(files: SplitFiles, frames: Frames, stages: Stages, images: np.ndarray, labels: np.ndarray) -> None:
    def batch(records: tf.Tensor) -> Batch:
        columns = files.parsed(records)
        return {
            "image": frames.whole(columns["image"], columns["orientation"]),
            "label": tf.cast(columns["label"], tf.int32),
        }

    at_once = max(1, min(1024, _LOADED_AT_ONCE // frames.bytes))
    dataset = stages.mapped(_records(files).batch(at_once), batch).prefetch(1)
    read = 0
    for columns in stages.with_options(dataset).as_numpy_iterator():
        images[read : read + len(columns["label"])] = columns["image"]
        labels[read : read + len(columns["label"])] = columns["label"]
        read += len(columns["label"])


def _name(files: SplitFiles, frames: Frames) -> str:
    """Of the file of a split's frames: after all that they follow from."""
    shards = [(path, (stat := os.stat(path)).st_size, stat.st_mtime_ns) for path in map(os.path.realpath, files.paths)]
    facts = (shards, files.manifest.fingerprint, frames.describe(), np.__version__, tf.__version__)
    return f"{files.name}-{hashlib.sha256(repr(facts).encode()).hexdigest()[:24]}.frames"


def _load_encoded(files: SplitFiles, frames: Frames, stages: Stages) -> Resident:
    def batch(records: tf.Tensor) -> Batch:
        columns = files.parsed(records)
        del columns["id"]
        return {
            **columns,
            "label": tf.cast(columns["label"], tf.int32),
            "sizes": windows.image_sizes(columns["image"]),
        }

    # One batch of everything takes the strings over as they are; joining arrays would need them twice for a while.
    dataset = stages.mapped(_records(files).batch(32), batch).unbatch()
    dataset = stages.with_options(dataset.batch(files.split.examples))
    columns = tf.data.Dataset.get_single_element(dataset)
    return Resident(**columns, frames=frames, stages=stages)


def _records(files: SplitFiles) -> tf.data.Dataset:
    dataset = tf.data.TFRecordDataset(files.paths, buffer_size=8 << 20)
    return dataset.apply(tf.data.experimental.assert_cardinality(files.split.examples))


def _empty(count: int) -> np.ndarray:
    """Bytes whose memory a tensor may share."""
    memory = np.empty(count + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + count]


def _shared(array: np.ndarray, dtype: tf.DType) -> tf.Tensor:
    """The array itself as a tensor, not a copy."""
    if dtype == tf.bfloat16:  # which is no type of NumPy's own, nor of its exchange
        return tf.bitcast(_shared(array.view(np.uint16), tf.uint16), dtype)
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
