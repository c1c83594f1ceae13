"""Wall and CPU time of something that can be repeated."""

import time
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

_SECONDS_A_CALL = 0.1


class Cost(NamedTuple):
    """Of one unit."""

    wall: float  # seconds
    cpu: float  # seconds of all threads of the process


def cost(run: Callable[[int], None], seconds: float, warm_up: int = 1) -> Cost:
    """What one unit of `run(n)`, which does n of them, costs.

    Both figures are those of the call with the lowest wall time: what else the machine does only ever adds.

    Args:
        run: What is measured.
        seconds: For about so long.
        warm_up: Units done before, which trace, compile, and fill what is to be full.
    """
    run(warm_up)
    ends = time.perf_counter() + seconds
    count, best = 1, None
    while best is None or time.perf_counter() < ends:
        started, cpu = time.perf_counter(), time.process_time()
        run(count)
        wall, cpu = time.perf_counter() - started, time.process_time() - cpu
        if best is None or wall / count < best.wall:
            best = Cost(wall / count, cpu / count)
        # Short calls measure the call itself, and the clock; one that ran with others is no measure of the next.
        count = max(1, min(10 * count, int(count * _SECONDS_A_CALL / wall)))
    return best


def cost_of_element(dataset: tf.data.Dataset, seconds: float, warm_up: int = 1) -> Cost:
    """What an element of an endless dataset costs, drained by a compiled loop."""
    options = tf.data.Options()
    options.autotune.enabled = False  # its thread would measure along, and outlive the iterator by up to a minute
    iterator = iter(dataset.with_options(options))

    @tf.function(autograph=False, reduce_retracing=True)
    def drain(count: tf.Tensor) -> None:
        def body(done: tf.Tensor) -> tf.Tensor:
            with tf.control_dependencies(tf.nest.flatten(next(iterator))):
                return done + 1

        tf.while_loop(lambda done: done < count, body, [tf.constant(0)], parallel_iterations=1)

    return cost(lambda count: drain(tf.constant(count)), seconds, warm_up)
