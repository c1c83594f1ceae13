"""Several steps in one call: the loop over batches, compiled around `strategy.run`."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from models.training.step import Batch, Sums

# Batches evaluated in one call: enough to hide the call's cost, few enough to answer a signal.
_EVALUATED_AT_ONCE = 64


class Result(NamedTuple):
    """What a call of the training loop leaves behind."""

    sums: Sums  # float64, those handed in included
    done: int  # steps; fewer than asked for where one was stopped at
    waited: float  # seconds that the loop waited for input


def build_training_loop(
    strategy: tf.distribute.Strategy,
    step: Callable[[Batch], Sums],
    *,
    stop_at_skipped: bool,
    memory: Sequence[tf.Variable] = (),
    agreed: bool = False,
) -> Callable[[Any, int, Sums], Result]:
    """The compiled loop of several steps.

    Args:
        strategy: That `step` runs under.
        step: Of `build_training_step`.
        stop_at_skipped: Whether to end after a step whose loss or gradients were not finite.
        memory: Variables that hold, after each step, the steps done and the sums: for those who must know where a call
            was when it failed. In the order of `Result.done` and `Sums`.
        agreed: Whether the first worker says how many steps a call makes, whatever the others ask for: where numbers
            differ all wait forever, since a collective operation is known by its iteration.

    Returns:
        A function of an iterator over per-replica batches, a number of steps, and the sums so far. They are added to
        step by step, so that they do not depend on how many steps a call makes.
    """

    is_asynchronous = bool(tf.config.list_logical_devices("GPU"))

    def step_after(batch: Batch, arrived: tf.Tensor) -> Sums:
        """On a CPU the clock is to be read before the step takes the thread that would read it."""
        with tf.control_dependencies([arrived]):
            return step(tf.nest.map_structure(tf.identity, batch))

    def body(done: tf.Tensor, totals: Sums, waited: tf.Tensor, skipped: tf.Tensor, iterator: Any):
        # Timed in the graph, where the wait happens: after the step before, and until the batch is there.
        with tf.control_dependencies([totals.weight]):
            asked = tf.timestamp()
        with tf.control_dependencies([asked]):
            batch = next(iterator)
        with tf.control_dependencies(_local(strategy, batch["weight"])):
            arrived = tf.timestamp()
        waited += arrived - asked
        sums = strategy.run(step, (batch,)) if is_asynchronous else strategy.run(step_after, (batch, arrived))
        # Every replica holds the sums over all of them.
        sums = Sums(*(tf.cast(_local(strategy, value)[0], tf.float64) for value in sums))
        totals = Sums(*(a + b for a, b in zip(totals, sums, strict=True)))
        with tf.control_dependencies(totals):  # when the step is done, and not as soon as its number is known
            for variable, value in zip(memory, (tf.identity(done + 1), *totals), strict=bool(memory)):
                variable.assign(value)
        return done + 1, totals, waited, sums.skipped > 0

    @tf.function(autograph=False)
    def run(iterator: Any, steps: tf.Tensor, totals: Sums):
        def goes_on(done: tf.Tensor, totals: Sums, waited: tf.Tensor, skipped: tf.Tensor) -> tf.Tensor:
            return (done < steps) & ~skipped if stop_at_skipped else done < steps

        if agreed:
            steps = _of_first_replica(strategy, steps)
        start = (tf.constant(0), totals, tf.constant(0.0, tf.float64), tf.constant(False))
        done, totals, waited, _ = tf.while_loop(
            goes_on, lambda *state: body(*state, iterator), start, parallel_iterations=1
        )
        return done, totals, waited

    def call(iterator: Any, steps: int, sums: Sums) -> Result:
        before = Sums(*(tf.constant(value, tf.float64) for value in sums))
        done, totals, waited = run(iterator, tf.constant(steps), before)
        return Result(Sums(*(value.numpy() for value in totals)), int(done), float(waited))

    return call


def memory_of(trainable: int) -> tuple[tf.Variable, ...]:
    """The `memory` of a loop over a model of so many trainable variables; this process's own, whatever the strategy."""
    shapes = [(), (), (), (), (), (trainable,)]  # of `Sums`
    return (tf.Variable(0), *(tf.Variable(tf.zeros(shape, tf.float64)) for shape in shapes))


def build_evaluation_loop(
    strategy: tf.distribute.Strategy, step: Callable[[Batch], Batch], *, gathered: bool = False
) -> Callable[[Any, int], dict[str, np.ndarray]]:
    """The compiled loop over a split.

    Args:
        strategy: That `step` runs under.
        step: Of `build_evaluation_step`.
        gathered: Whether each replica's results are those of all.

    Returns:
        A function of an iterator over per-replica batches and the number of batches, which gives each field of `step`'s
        result for all examples that are not padding, in the split's order: `loss` `[N]`, `scores` `[N, K]`, ...
    """

    @tf.function(autograph=False)
    def run(iterator: Any, steps: tf.Tensor):
        def body(done: tf.Tensor, arrays: tuple):
            results = strategy.run(step, (next(iterator),))
            local = {name: _local(strategy, results[name])[: 1 if gathered else None] for name in names}
            values = (tf.concat(local[name], axis=0) for name in names)
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


def _of_first_replica(strategy: tf.distribute.Strategy, number: tf.Tensor) -> tf.Tensor:
    """An int32 as the first replica of all has it."""

    def reduced() -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        own = tf.where(tf.equal(context.replica_id_in_sync_group, 0), tf.cast(number, tf.int64), 0)
        return context.all_reduce(tf.distribute.ReduceOp.SUM, own)

    return tf.cast(_local(strategy, strategy.run(reduced))[0], tf.int32)


def _local(strategy: tf.distribute.Strategy, value: Any) -> list[tf.Tensor]:
    return list(strategy.experimental_local_results(value))
