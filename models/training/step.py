"""The training step: two pure, compiled halves, and one all-reduce between them.

    forward_backward   weights, state, batch -> gradients, new state, sums     each replica on its part of the batch
    all-reduce         gradients, moving averages and sums                     the only communication
    update             weights, optimizer, gradients -> new ones               the same on every replica

Each replica then writes its own copy of every variable. What depends on the whole batch (the mean of the loss, the
finite check, clipping) comes after the all-reduce, so 1 and N replicas compute the same thing.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from models.heads import Head
from models.training.keras_internals import is_seed, own_copy, pure_optimizer
from models.training.loss_scale import LossScale

Tensors = list[tf.Tensor]
Batch = dict[str, tf.Tensor]

# Added to a dropout's seed for each replica, so that no two draw the same mask.
_REPLICA_SEED_STRIDE = 0x9E3779B1


class Sums(NamedTuple):
    """What a step adds to an epoch's metrics, over the global batch; scalars."""

    loss: tf.Tensor  # sum of weight x (loss + penalties)
    correct: tf.Tensor  # sum of weight x (prediction is right)
    weight: tf.Tensor
    skipped: tf.Tensor  # 1 where gradients were not finite under loss scaling


def build_training_step(
    model: keras.Model, head: Head, *, xla: bool, loss_scale: LossScale | None
) -> Callable[[Batch], Sums]:
    """The step of one replica, to be called inside `strategy.run`.

    Args:
        model: Compiled and built with its optimizer, under the strategy's scope.
        head: Its head.
        xla: Whether to compile the two halves.
        loss_scale: Of mixed_float16, made under the strategy's scope; else None.

    Returns:
        A function from a replica's batch to the sums over the global batch.
    """
    forward_backward = _compiled(_forward_backward(model, head), xla)
    update = _compiled(_update(model.optimizer, loss_scale), xla)

    def step(batch: Batch) -> Sums:
        context = tf.distribute.get_replica_context()
        weights = [own_copy(v) for v in model.trainable_variables]
        state = [own_copy(v) for v in model.non_trainable_variables]
        slots = [own_copy(v) for v in model.optimizer.variables]
        scale = [own_copy(v) for v in loss_scale.variables] if loss_scale else []

        replica = tf.convert_to_tensor(context.replica_id_in_sync_group)
        factor = scale[0].read_value() if loss_scale else tf.ones([])
        gradients, new_state, sums = forward_backward(_read(weights), _read(state), batch, replica, factor)
        averages = [i for i, value in enumerate(new_state) if value.dtype.is_floating]
        gradients, averaged, sums = _all_reduced(context, (gradients, [new_state[i] for i in averages], sums))
        for i, total in zip(averages, averaged, strict=True):
            new_state[i] = total / context.num_replicas_in_sync

        share = tf.cast(tf.shape(batch["weight"])[0], tf.float64) / tf.cast(sums.weight, tf.float64)
        old = (_read(weights), _read(slots), _read(state), _read(scale))
        *new, skipped = update(*old, gradients, new_state, share)
        for variables, values in zip((weights, slots, state, scale), new, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        # What a skipped step lost was no number: it is counted, and left out of the epoch's means.
        return Sums(*(tf.where(skipped > 0, 0.0, value) for value in sums[:3]), skipped)

    return step


def build_evaluation_step(model: keras.Model, head: Head) -> Callable[[Batch], Batch]:
    """The evaluation of one replica's batch, to be called inside `strategy.run`.

    Returns:
        A function from a batch to `loss` float32 `[B]` (penalties included), `scores` float32 `[B, K]`, and the batch's
        `label`, `index` and `weight`.
    """
    loss_of = head.keras_loss(reduction=None, dtype=model.output.dtype)

    def step(batch: Batch) -> Batch:
        weights = _read([own_copy(v) for v in model.trainable_variables])
        state = _read([own_copy(v) for v in model.non_trainable_variables])
        outputs, _, penalties = model.stateless_call(weights, state, batch["image"], training=False, return_losses=True)
        loss = loss_of(head.targets(batch["label"]), outputs) + _sum(penalties, outputs.dtype)
        return {
            "loss": tf.cast(loss, tf.float32),
            "scores": tf.cast(head.scores(outputs), tf.float32),
            **{name: batch[name] for name in ("label", "index", "weight")},
        }

    return step


def _forward_backward(model: keras.Model, head: Head) -> Callable[..., Any]:
    loss_of = head.keras_loss(reduction=None, dtype=model.output.dtype)
    seeds = [i for i, variable in enumerate(model.non_trainable_variables) if is_seed(variable)]

    def forward_backward(weights: Tensors, state: Tensors, batch: Batch, replica: tf.Tensor, factor: tf.Tensor):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            outputs, new_state, penalties = model.stateless_call(
                weights, _seeds_of_replica(state, seeds, replica), batch["image"], training=True, return_losses=True
            )
            loss = loss_of(head.targets(batch["label"]), outputs)
            weight = tf.cast(batch["weight"], loss.dtype)
            total = tf.reduce_sum(weight * loss) + tf.reduce_sum(weight) * _sum(penalties, loss.dtype)
            # Divided by the replica's share now, and by the whole batch's weight after the all-reduce: a sum over
            # hundreds of examples would leave float16's range early.
            objective = total / tf.cast(tf.shape(weight)[0], loss.dtype) * tf.cast(factor, loss.dtype)
        gradients = tape.gradient(objective, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        right = tf.equal(tf.argmax(head.scores(outputs), axis=1, output_type=tf.int32), batch["label"])
        sums = Sums(
            loss=tf.cast(total, tf.float32),
            correct=tf.reduce_sum(tf.cast(right, tf.float32) * batch["weight"]),
            weight=tf.reduce_sum(batch["weight"]),
            skipped=tf.zeros([]),
        )
        return gradients, _seeds_of_all(new_state, state, seeds), sums

    return forward_backward


def _update(optimizer: keras.optimizers.Optimizer, loss_scale: LossScale | None) -> Callable[..., Any]:
    optimizer = pure_optimizer(optimizer)

    def update(
        weights: Tensors,
        slots: Tensors,
        state: Tensors,
        scale: Tensors,
        gradients: Tensors,
        new_state: Tensors,
        share: tf.Tensor,
    ):
        factor = share / tf.cast(scale[0], share.dtype) if loss_scale else share
        gradients = [g * tf.cast(factor, g.dtype) for g in gradients]
        new_weights, new_slots = optimizer.stateless_apply(slots, gradients, weights)
        if loss_scale is None:
            return new_weights, new_slots, new_state, [], tf.zeros([])
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in gradients])

        def chosen(new: Tensors, old: Tensors) -> Tensors:
            return [tf.where(finite, a, b) for a, b in zip(new, old, strict=True)]

        return (
            chosen(new_weights, weights),
            chosen(new_slots, slots),
            chosen(new_state, state),
            loss_scale.after(scale, finite),
            1.0 - tf.cast(finite, tf.float32),
        )

    return update


def _compiled(function: Callable[..., Any], xla: bool) -> Callable[..., Any]:
    # Uncompiled, it is traced into the function around it: a call of its own would only cost time.
    return tf.function(function, jit_compile=True, autograph=False) if xla else function


def _all_reduced(context: tf.distribute.ReplicaContext, structure: Any) -> Any:
    """Every tensor in `structure`, summed over the replicas: one all-reduce a dtype, since only equal ones pack."""
    tensors = tf.nest.flatten(structure)
    for dtype in sorted({tensor.dtype.name for tensor in tensors}):
        places = [i for i, tensor in enumerate(tensors) if tensor.dtype == dtype]
        reduced = context.all_reduce(tf.distribute.ReduceOp.SUM, [tensors[i] for i in places])
        for i, tensor in zip(places, reduced, strict=True):
            tensors[i] = tensor
    return tf.nest.pack_sequence_as(structure, tensors)


def _read(variables: list[tf.Variable]) -> Tensors:
    return [variable.read_value() for variable in variables]


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


def _sum(penalties: Tensors, dtype: tf.DType) -> tf.Tensor:
    return tf.add_n([tf.cast(p, dtype) for p in penalties]) if penalties else tf.zeros([], dtype)
