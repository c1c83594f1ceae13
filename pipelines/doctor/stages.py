"""What each stage costs on its own: a thin shell around tf.data and the clock.

Each stage is fed from memory with what the stage before it makes, so that only its own work is timed. CPU seconds are
those of all threads of the process, and nothing else runs in it meanwhile; where the device is the CPU, they tell how
much input and step take from each other. Threads that find no work look for some for a moment before they sleep: stages
too cheap to keep all cores busy show up to a few times the CPU that they need.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from pipelines import records
from pipelines.doctor import sample as samples
from pipelines.doctor.clock import Cost, cost, cost_of_element
from pipelines.doctor.sample import Columns, Decoding, Sample
from pipelines.doctor.verdict import Stage
from pipelines.reading.synthetic import Batch, constant_batches

_PARSED_AT_ONCE = 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measuring:
    """How it is measured.

    Attributes:
        seconds: Of one stage.
        threads: For the stages that work on one image at a time.
    """

    seconds: float
    threads: int


def read_stages(sample: Sample, measuring: Measuring, *, off_the_disk: bool, once: bool) -> list[Stage]:
    """`read` and `parse`.

    Args:
        sample: What is read.
        measuring: How.
        off_the_disk: Whether the kernel forgets the shards before; else they come out of its page cache.
        once: Whether a run reads its split once.
    """
    shards = samples.record_bytes(sample.files).take(sample.images).repeat()
    read = cost_of_element(shards, measuring.seconds, sample.images)
    if off_the_disk:
        read = Cost(max(read.wall, samples.seconds_off_the_disk(sample)), read.cpu)
    serialized = tf.data.Dataset.from_tensor_slices(sample.serialized).repeat().batch(_PARSED_AT_ONCE)
    batches = serialized.take(-(-sample.images // _PARSED_AT_ONCE)).cache().repeat()
    parse = cost_of_element(_mapped(batches, records.parse, measuring), measuring.seconds, 2)
    return [_stage("read", read, 1, once), _stage("parse", parse, _PARSED_AT_ONCE, once)]


def decode_stages(columns: Columns, decoding: Decoding, measuring: Measuring, *, once: bool) -> list[Stage]:
    """`decode` and `resize`; where the crop is cut out while decoding, only the windows are decoded.

    Args:
        columns: Records, `[n]`.
        decoding: What is measured.
        measuring: How.
        once: Whether a run decodes its split once.
    """
    count = len(columns["label"])
    kept = tf.data.Dataset.from_tensor_slices(decoding.prepare(columns)).cache()
    decode = _mapped(kept.repeat(), decoding.decode, measuring)
    pixels = _mapped(kept, decoding.decode, measuring).cache().repeat()
    resize = _mapped(pixels, decoding.resize, measuring)
    return [
        _stage("decode", cost_of_element(decode, measuring.seconds, count), 1, once),
        _stage("resize", cost_of_element(resize, measuring.seconds, count), 1, once),
    ]


def batch_of_stream(columns: Columns, decoding: Decoding, batch_size: int, measuring: Measuring) -> Stage:
    """`batch`, where images come one by one and are put together."""
    images = tf.data.Dataset.from_tensor_slices(decoding.prepare(columns)).map(decoding.frame)
    batches = images.cache().repeat().batch(batch_size, drop_remainder=True)
    warm_up = -(-len(columns["label"]) // batch_size)
    return _stage("batch", cost_of_element(_prefetched(batches), measuring.seconds, warm_up), batch_size)


def batch_of_resident(images: tf.Tensor, batch_size: int, measuring: Measuring) -> Stage:
    """`batch`, where it is one gather from memory.

    Args:
        images: uint8 `[n, H, W, C]`.
        batch_size: B.
        measuring: How.
    """
    places = tf.random.shuffle(tf.range(batch_size) % images.shape[0], seed=0)
    batches = _mapped(tf.data.Dataset.range(2**62), lambda _: tf.gather(images, places), measuring)
    return _stage("batch", cost_of_element(_prefetched(batches), measuring.seconds), batch_size)


def batch_of_feed(dataset: tf.data.Dataset, part: int, measuring: Measuring) -> Stage:
    """`batch`, where a resident reader's own dataset does nothing else.

    Args:
        dataset: Its elements, endless.
        part: Images an element.
        measuring: How.
    """
    return _stage("batch", cost_of_element(dataset, measuring.seconds, 4), part)


def copy_stage(batch: Batch, strategy: tf.distribute.Strategy, measuring: Measuring) -> Stage:
    """`copy`: from a batch in the host's memory to one on each device. On a CPU only the hand-over is left of it."""
    replicas = strategy.num_replicas_in_sync
    dataset = constant_batches(batch, replicas=replicas)
    iterator = iter(strategy.distribute_datasets_from_function(lambda _: dataset))

    @tf.function(autograph=False)
    def run(count: tf.Tensor) -> None:
        def body(done: tf.Tensor) -> tf.Tensor:
            # Looking at one pixel brings the batch to where it is looked at.
            seen = strategy.run(lambda part: tf.cast(part["image"][0, 0, 0, 0], tf.int32), (next(iterator),))
            with tf.control_dependencies(list(strategy.experimental_local_results(seen))):
                return done + 1

        tf.while_loop(lambda done: done < count, body, [tf.constant(0)], parallel_iterations=1)

    found = cost(lambda count: run(tf.constant(count)), measuring.seconds)
    return dataclasses.replace(_stage("copy", found, batch["weight"].shape[0]), where="copy")


def augmentation_stage(
    batch: Batch, augmentation: Callable[[Batch], Batch], measuring: Measuring, *, device: str | None
) -> Stage:
    """`augmentation`.

    Args:
        batch: Of one replica.
        augmentation: A pure function of the batch, compiled.
        measuring: How.
        device: Where; None: in the input pipeline, on the host.
    """
    size = batch["weight"].shape[0]
    if device is None:
        batches = _mapped(tf.data.Dataset.from_tensors(batch).repeat(), augmentation, measuring)
        return _stage("augmentation", cost_of_element(_prefetched(batches), measuring.seconds, 2), size)
    with tf.device(device):
        batch = {name: tf.identity(value) for name, value in batch.items()}

        def run(count: int) -> None:
            for _ in range(count):
                image = augmentation(batch)["image"]
            image[0, 0, 0].numpy()  # work on a device is done when its result is here

        found = cost(run, measuring.seconds)
    return dataclasses.replace(_stage("augmentation", found, size), where="device")


def _stage(name: str, found: Cost, images: int, once: bool = False) -> Stage:
    return Stage(name=name, wall=found.wall / images, cpu=found.cpu / images, once=once)


def _mapped(dataset: tf.data.Dataset, function: Callable, measuring: Measuring) -> tf.data.Dataset:
    mapped = dataset.map(function, num_parallel_calls=measuring.threads, deterministic=True)
    options = tf.data.Options()
    options.threading.max_intra_op_parallelism = 1  # as the readers have it
    return mapped.with_options(options)


def _prefetched(dataset: tf.data.Dataset) -> tf.data.Dataset:
    return dataset.prefetch(2)
