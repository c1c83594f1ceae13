"""Out of memory: what would fit, found by trying."""

import re
from collections.abc import Callable, Iterator

import tensorflow as tf

from base.errors import InputError, input_error
from models.training.feed import Feed

Batch = dict[str, tf.Tensor]
Run = Callable[[tf.data.Dataset, int], None]  # a step on the parts of a dataset, each cut into so many

_TELLING = re.compile(r"OOM when allocating tensor with shape\[[\d,]*\] and type \w+|[Oo]ut of memory[^\n\[]*")


def explained(error: tf.errors.ResourceExhaustedError, feed: Feed, replicas: int, accumulate: int, run: Run):
    """The error as a sentence with the batch size that fits.

    Halves of the batch are tried, on constant batches, until a step passes; then parts of the whole batch. (On a CPU
    the system may end a process that comes near its limit, without any error: what is known is to be said before.)

    Args:
        error: Of a step on `feed`.
        feed: Of training; of its dataset only the shapes are used.
        replicas: How many share a global batch.
        accumulate: Parts that a replica's batch was cut into.
        run: Makes a step of training; raises what the step raises.

    Returns:
        An `InputError`.
    """

    def fits(batch_size: int, parts: int) -> bool:
        batch = constant_batch(feed.dataset.element_spec, batch_size // replicas)
        try:
            run(tf.data.Dataset.from_tensors(batch).repeat(), parts)
        except (tf.errors.OpError, InputError):  # the latter where examples are mixed in pairs, and a part is odd
            return False
        return True

    unit = replicas * accumulate
    sizes = list(_halves(feed.batch_size, unit))
    size = next((size for size in sizes if fits(size, accumulate)), None)
    if size is None:
        return _sentence(error, feed.batch_size, _nothing(sizes))
    do = f"--batch-size {size} was tried and fits"
    # The gradients' sum takes memory too, and so parts of that size may be too large.
    most = feed.batch_size // unit
    parts = [accumulate * _divisor(most, min(feed.batch_size / tried, most)) for tried in (size, size / 2)]
    cut = next((number for number in parts if fits(feed.batch_size, number)), None)
    if cut is not None:
        do += f"; so does --accumulate {cut}, which keeps batches of {feed.batch_size}"
    return _sentence(error, feed.batch_size, do + ".")


def unexplored(error: tf.errors.ResourceExhaustedError, batch_size: int) -> InputError:
    """The error as a sentence, where nothing smaller can be tried."""
    return _sentence(error, batch_size, "Choose a smaller --batch-size, or cut it into parts with --accumulate.")


def constant_batch(spec: dict[str, tf.TensorSpec], size: int) -> Batch:
    """A replica's batch of so many examples, all of them alike; weights are 1, everything else is 0."""
    return {
        name: (tf.ones if name == "weight" else tf.zeros)([size, *column.shape[1:]], column.dtype)
        for name, column in spec.items()
    }


def _halves(batch_size: int, unit: int) -> Iterator[int]:
    """A half, a quarter, ... of the batch, in multiples of `unit`."""
    size = batch_size // 2 // unit * unit
    while size:
        yield size
        size = size // 2 // unit * unit


def _divisor(number: int, least: float) -> int:
    """The smallest divisor of `number` of at least `least`, which is at most `number`."""
    return next(value for value in range(1, number + 1) if number % value == 0 and value >= least)


def _nothing(sizes: list[int]) -> str:
    tried = f"None that is smaller fits either: --batch-size {sizes[-1]} was tried. " if sizes else ""
    return tried + "Choose a smaller --image-size or model."


def _sentence(error: tf.errors.ResourceExhaustedError, batch_size: int, do: str) -> InputError:
    match = _TELLING.search(error.message or "")
    said = match[0].strip(" .") if match else (error.message or "").strip().rpartition("\n")[2][:100]
    return input_error("Expected batches that fit the memory", batch_size=batch_size, error=said, do=do)
