"""Several steps in one call: the loop over batches, compiled around `strategy.run`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from models.training.step import Batch, Sums

# Batches evaluated in one call: enough to hide the call's cost, few enough to answer a signal.
_EVALUATED_AT_ONCE = 64


def build_training_loop(
    strategy: tf.distribute.Strategy, step: Callable[[Batch], Sums]
) -> Callable[[Any, int], tuple[Sums, float]]:
    """The compiled loop of several steps.

    Args:
        strategy: That `step` runs under.
        step: Of `build_training_step`.

    Returns:
        A function of an iterator over per-replica batches and a number of steps, which gives the steps' sums as float64
        scalars, and the seconds that the loop waited for input.
    """

    def body(done: tf.Tensor, totals: Sums, waited: tf.Tensor, iterator: Any):
        # Timed in the graph, where the wait happens: after the step before, and until the batch is there.
        with tf.control_dependencies([totals.weight]):
            asked = tf.timestamp()
        with tf.control_dependencies([asked]):
            batch = next(iterator)
        with tf.control_dependencies(_local(strategy, batch["weight"])):
            waited += tf.timestamp() - asked
        sums = strategy.run(step, (batch,))
        # Every replica holds the sums over all of them.
        sums = Sums(*(tf.cast(_local(strategy, value)[0], tf.float64) for value in sums))
        return done + 1, Sums(*(a + b for a, b in zip(totals, sums, strict=True))), waited

    @tf.function(autograph=False)
    def run(iterator: Any, steps: tf.Tensor):
        start = (tf.constant(0), Sums(*[tf.constant(0.0, tf.float64)] * 4), tf.constant(0.0, tf.float64))
        _, totals, waited = tf.while_loop(
            lambda done, *_: done < steps, lambda *state: body(*state, iterator), start, parallel_iterations=1
        )
        return totals, waited

    def call(iterator: Any, steps: int) -> tuple[Sums, float]:
        totals, waited = run(iterator, tf.constant(steps))
        return Sums(*(float(value) for value in totals)), float(waited)

    return call


def build_evaluation_loop(
    strategy: tf.distribute.Strategy, step: Callable[[Batch], Batch]
) -> Callable[[Any, int], dict[str, np.ndarray]]:
    """The compiled loop over a split.

    Returns:
        A function of an iterator over per-replica batches and the number of batches, which gives each field of `step`'s
        result for all examples that are not padding, in the split's order: `loss` `[N]`, `scores` `[N, K]`, ...
    """

    @tf.function(autograph=False)
    def run(iterator: Any, steps: tf.Tensor):
        def body(done: tf.Tensor, arrays: tuple):
            results = strategy.run(step, (next(iterator),))
            values = (tf.concat(_local(strategy, results[name]), axis=0) for name in names)
            return done + 1, tuple(a.write(done, v) for a, v in zip(arrays, values, strict=True))

        names = ("loss", "scores", "label", "index", "weight")
        dtypes = (tf.float32, tf.float32, tf.int32, tf.int64, tf.float32)
        arrays = tuple(tf.TensorArray(dtype, steps, infer_shape=False) for dtype in dtypes)
        _, arrays = tf.while_loop(lambda done, _: done < steps, body, (tf.constant(0), arrays), parallel_iterations=1)
        return {name: array.concat() for name, array in zip(names, arrays, strict=True)}

    def call(iterator: Any, steps: int) -> dict[str, np.ndarray]:
        parts = []
        for start in range(0, steps, _EVALUATED_AT_ONCE):
            part = run(iterator, tf.constant(min(_EVALUATED_AT_ONCE, steps - start)))
            parts.append({name: value.numpy() for name, value in part.items()})
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        kept = columns["weight"] > 0
        return {name: column[kept] for name, column in columns.items()}

    return call


def _local(strategy: tf.distribute.Strategy, value: Any) -> list[tf.Tensor]:
    return list(strategy.experimental_local_results(value))
