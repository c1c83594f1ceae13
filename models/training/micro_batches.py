"""The forward and backward half of the step, on a replica's batch as a whole or cut into equal parts."""

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from models.heads import Head
from models.training import fused_normalization
from models.training.keras_internals import in_mode, is_seed
from models.training.objective import Objective

Tensors = list[tf.Tensor]
Batch = dict[str, tf.Tensor]

# Added to a dropout's seed for each replica, so that no two draw the same mask.
_REPLICA_SEED_STRIDE = 0x9E3779B1


class PartSums(NamedTuple):
    """What a replica's batch adds to the global one; float32 scalars."""

    loss: tf.Tensor  # sum of weight x (sample weight x loss + penalties)
    correct: tf.Tensor
    weight: tf.Tensor
    count: tf.Tensor  # examples that are not padding


def build_forward_backward(
    model: keras.Model,
    head: Head,
    objective: Objective,
    augment: Callable[[Batch], Batch] | None,
    parts: int,
    changed: set[int],
    *,
    unrolled: bool = False,
    fused: bool = False,
) -> Callable[[Tensors, Tensors, Batch, tf.Tensor, tf.Tensor], tuple[Tensors, Tensors, PartSums]]:
    """The pure function from weights, state, batch, replica number and loss scale to gradients, new state and sums.

    Gradients are those of the sum over the batch divided by its size: the sum itself would leave float16's range early.

    Args:
        model: Built.
        head: Its head.
        objective: What is minimised.
        augment: Of the whole batch, before it is cut.
        parts: How many the batch is cut into; memory is needed for one at a time. Batch normalisation sees parts.
        changed: Takes, while the function is traced, the places of the state that it changes: the rest, as of frozen
            layers, is not to be averaged over the replicas.
        unrolled: Whether the parts follow each other outside of a loop, in which replicas could not communicate.
        fused: Whether batch normalisation uses its fused kernel.
    """
    seeds = [i for i, variable in enumerate(model.non_trainable_variables) if is_seed(variable)]
    normalization = fused_normalization.fused if fused else contextlib.nullcontext
    one = _one_part(model, head, objective, changed, normalization)

    def forward_backward(weights: Tensors, state: Tensors, batch: Batch, replica: tf.Tensor, factor: tf.Tensor):
        batch = augment(batch) if augment else batch
        shifted = _seeds_of_replica(state, seeds, replica)
        if parts == 1:
            gradients, new_state, sums = one(weights, shifted, batch, factor)
            return gradients, _seeds_of_all(new_state, state, seeds), sums
        cut = {name: tf.reshape(value, [parts, -1, *value.shape[1:]]) for name, value in batch.items()}

        def add_part(number: tf.Tensor, gradients: Tensors, state: Tensors, sums: PartSums):
            new, state, more = one(weights, state, {name: value[number] for name, value in cut.items()}, factor)
            added = [a + b / parts for a, b in zip(gradients, new, strict=True)]
            return number + 1, added, state, PartSums(*(a + b for a, b in zip(sums, more, strict=True)))

        start = (tf.constant(0), [tf.zeros_like(w) for w in weights], shifted, PartSums(*[tf.zeros([])] * 4))
        if unrolled:
            place = start
            for _ in range(parts):
                place = add_part(*place)
            return place[1], _seeds_of_all(place[2], state, seeds), place[3]
        _, gradients, new_state, sums = tf.while_loop(
            lambda number, *_: number < parts, add_part, start, parallel_iterations=1, maximum_iterations=parts
        )
        return gradients, _seeds_of_all(new_state, state, seeds), sums

    return forward_backward


def _one_part(
    model: keras.Model,
    head: Head,
    objective: Objective,
    changed: set[int],
    normalization: Callable[[], contextlib.AbstractContextManager],
) -> Callable[..., Any]:
    def one(weights: Tensors, state: Tensors, batch: Batch, factor: tf.Tensor) -> tuple[Tensors, Tensors, PartSums]:
        label = batch["label"]
        with tf.GradientTape() as tape:
            tape.watch(weights)
            with normalization():
                outputs, new_state, penalties = model.stateless_call(
                    weights, state, batch["image"], return_losses=True, **in_mode(model, training=True)
                )
            changed.update(i for i, (a, b) in enumerate(zip(state, new_state, strict=True)) if a is not b)
            loss = objective.losses(label, outputs)
            weight = tf.cast(batch["weight"], loss.dtype)
            count = tf.math.count_nonzero(weight, dtype=loss.dtype)
            penalty = tf.add_n([tf.cast(p, loss.dtype) for p in penalties]) if penalties else tf.zeros([], loss.dtype)
            # An example's own weight leaves the divisor as it is.
            own = weight * tf.cast(batch["sample_weight"], loss.dtype) if "sample_weight" in batch else weight
            total = tf.reduce_sum(own * loss) + count * penalty
            wanted = total / tf.cast(tf.shape(weight)[0], loss.dtype) * tf.cast(factor, loss.dtype)
        gradients = tape.gradient(wanted, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        best = tf.argmax(label, axis=1, output_type=tf.int32) if label.dtype.is_floating else label
        right = tf.equal(tf.argmax(head.scores(outputs), axis=1, output_type=tf.int32), best)
        sums = PartSums(
            loss=tf.cast(total, tf.float32),
            correct=tf.reduce_sum(tf.cast(right, tf.float32) * batch["weight"]),
            weight=tf.reduce_sum(batch["weight"]),
            count=tf.cast(count, tf.float32),
        )
        return gradients, list(new_state), sums

    return one


def _seeds_of_replica(state: Tensors, seeds: list[int], replica: tf.Tensor) -> Tensors:
    """The state with the seeds of dropout, at the places `seeds`, made different on each replica."""
    shifted = list(state)
    for i in seeds:
        shift = tf.cast(replica, tf.int64) * _REPLICA_SEED_STRIDE % 2**31
        shifted[i] = tf.stack([state[i][0] + tf.cast(shift, state[i].dtype), state[i][1]])
    return shifted


def _seeds_of_all(new_state: Tensors, state: Tensors, seeds: list[int]) -> Tensors:
    """The new state with the common seeds again: Keras counts in a seed's second word, and keeps the first."""
    common = list(new_state)
    for i in seeds:
        common[i] = tf.stack([state[i][0], new_state[i][1]])
    return common
