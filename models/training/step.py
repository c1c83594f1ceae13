"""The training step: two pure, compiled halves, and one all-reduce between them.

    forward_backward   weights, state, batch -> gradients, new state, sums     each replica on its part of the batch
    all-reduce         gradients, moving averages and sums                     the only communication
    update             weights, optimizer, gradients -> new ones               the same on every replica

Each replica then writes its own copy of every variable, unless a gradient or the loss was no number. What depends on
the whole batch (the mean of the loss, the finite check, clipping) comes after the all-reduce, so 1 and N replicas
compute the same thing.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from models.heads import Head
from models.training import fused_normalization
from models.training.keras_internals import in_mode, own_copy, pure_optimizer
from models.training.loss_scale import LossScale
from models.training.micro_batches import build_forward_backward
from models.training.objective import Objective

Tensors = list[tf.Tensor]
Batch = dict[str, tf.Tensor]


class Sums(NamedTuple):
    """What a step adds to an epoch's metrics, over the global batch."""

    loss: tf.Tensor  # sum of weight x (sample weight x loss + penalties)
    correct: tf.Tensor  # sum of weight x (prediction is right)
    weight: tf.Tensor
    count: tf.Tensor  # examples that are not padding
    skipped: tf.Tensor  # 1 where gradients or loss were not finite
    squares: tf.Tensor  # [trainable variables]: each gradient's squared norm


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepOptions:
    """How a step is put together."""

    xla: bool = False  # compile the two halves
    accumulate: int = 1  # equal parts that a replica's batch is cut into, one after the other
    synchronized: bool = False  # the forward half communicates (synchronised batch normalisation)
    factors: np.ndarray | None = None  # float32 [steps], on the learning rate, see `schedules`
    shares: tuple[float, ...] | None = None  # of the learning rate, for each trainable variable


def build_training_step(
    model: keras.Model,
    head: Head,
    objective: Objective,
    options: StepOptions,
    *,
    loss_scale: LossScale | None = None,
    augment: Callable[[Batch], Batch] | None = None,
    forward: keras.Model | None = None,
) -> Callable[[Batch], Sums]:
    """The step of one replica, to be called inside `strategy.run`.

    Args:
        model: Compiled and built with its optimizer, under the strategy's scope.
        head: Its head.
        objective: What is minimised.
        options: See `StepOptions`.
        loss_scale: Of mixed_float16, made under the strategy's scope; else None.
        augment: A pure function of the batch, which XLA compiles in any case, in the forward half or alone.
        forward: The model whose forward pass is called, where it is not `model`: a twin of other input size.

    Returns:
        A function from a replica's batch to the sums over the global batch.
    """
    augment = augment and _compiled(augment, xla=True)
    changed: set[int] = set()
    forward_backward = build_forward_backward(
        forward or model,
        head,
        objective,
        augment,
        options.accumulate,
        changed,
        unrolled=options.synchronized,
        fused=not options.xla and fused_normalization.pays(),
    )
    # What communicates can't be compiled, nor stand in a function of its own.
    forward_backward = _compiled(forward_backward, options.xla and not options.synchronized)
    update = _compiled(_update(model.optimizer, loss_scale, options), options.xla)

    def step(batch: Batch) -> Sums:
        context = tf.distribute.get_replica_context()
        weights = [own_copy(v) for v in model.trainable_variables]
        state = [own_copy(v) for v in model.non_trainable_variables]
        slots = [own_copy(v) for v in model.optimizer.variables]
        scale = [own_copy(v) for v in loss_scale.variables] if loss_scale else []

        replica = tf.convert_to_tensor(context.replica_id_in_sync_group)
        factor = scale[0].read_value() if loss_scale else tf.ones([])
        gradients, new_state, sums = forward_backward(_read(weights), _read(state), batch, replica, factor)
        averages = [i for i in sorted(changed) if new_state[i].dtype.is_floating]
        gradients, averaged, sums = _all_reduced(context, (gradients, [new_state[i] for i in averages], sums))
        for i, total in zip(averages, averaged, strict=True):
            new_state[i] = total / context.num_replicas_in_sync

        # The mean is over the examples that are not padding; each replica divided by the size of its part.
        share = tf.cast(tf.shape(batch["weight"])[0], tf.float64) / tf.cast(sums.count, tf.float64)
        old = (_read(weights), _read(slots), _read(scale))
        new_weights, new_slots, new_scale, squares, finite = update(*old, gradients, sums.loss, share)

        def take() -> tf.Tensor:
            _assign((*weights, *slots, *state), (*new_weights, *new_slots, *new_state))
            return tf.zeros([])

        skipped = tf.cond(finite, take, lambda: tf.ones([]))
        _assign(scale, new_scale)
        # What a skipped step lost was no number: it is counted, and left out of the epoch's means.
        kept = (tf.where(finite, value, 0.0) for value in (sums.loss, sums.correct, sums.weight, sums.count))
        return Sums(*kept, skipped, tf.where(finite, squares, 0.0))

    return step


def build_evaluation_step(
    model: keras.Model, head: Head, weights: Sequence[keras.Variable], *, gathered: bool = False
) -> Callable[[Batch], Batch]:
    """The evaluation of one replica's batch, to be called inside `strategy.run`.

    Args:
        model: Built.
        head: Its head.
        weights: In the place of the model's trainable ones: these, or their moving averages.
        gathered: Whether every replica is to have the results of all.

    Returns:
        A function from a batch to `loss` float32 `[B]` (penalties included), `scores` float32 `[B, K]`, and the batch's
        `label`, `index` and `weight`.
    """

    def step(batch: Batch) -> Batch:
        values = _read([own_copy(v) for v in weights])
        state = _read([own_copy(v) for v in model.non_trainable_variables])
        mode = in_mode(model, training=False)
        outputs, _, penalties = model.stateless_call(values, state, batch["image"], return_losses=True, **mode)
        loss = head.keras_loss(reduction=None, dtype=outputs.dtype.name)(head.targets(batch["label"]), outputs)
        loss += tf.add_n([tf.cast(p, loss.dtype) for p in penalties]) if penalties else 0
        results = {
            "loss": tf.cast(loss, tf.float32),
            "scores": tf.cast(head.scores(outputs), tf.float32),
            **{name: batch[name] for name in ("label", "index", "weight")},
        }
        if gathered:
            results = {name: _of_all_replicas(value) for name, value in results.items()}
        return results

    return step


def _update(
    optimizer: keras.optimizers.Optimizer, loss_scale: LossScale | None, options: StepOptions
) -> Callable[..., Any]:
    rate_place = next(i for i, variable in enumerate(optimizer.variables) if variable is optimizer.learning_rate)
    optimizer, factors = pure_optimizer(optimizer, options.shares), options.factors

    def update(
        weights: Tensors, slots: Tensors, scale: Tensors, gradients: Tensors, loss: tf.Tensor, share: tf.Tensor
    ) -> tuple[Tensors, Tensors, Tensors, tf.Tensor, tf.Tensor]:
        factor = share / tf.cast(scale[0], share.dtype) if loss_scale else share
        gradients = [g * tf.cast(factor, g.dtype) for g in gradients]
        squares = tf.stack([2 * tf.cast(tf.nn.l2_loss(g), tf.float32) for g in gradients])
        finite = tf.math.is_finite(loss) & tf.reduce_all(tf.math.is_finite(squares))
        rate = slots[rate_place]
        if factors is not None:
            step = tf.minimum(tf.cast(slots[0], tf.int32), len(factors) - 1)
            slots = [*slots]
            slots[rate_place] = rate * tf.cast(tf.gather(tf.constant(factors), step), rate.dtype)
        new_weights, new_slots = optimizer.stateless_apply(slots, gradients, weights)
        new_slots = [*new_slots]
        new_slots[rate_place] = rate  # callbacks set it; the schedule only multiplies it
        return new_weights, new_slots, loss_scale.after(scale, finite) if loss_scale else [], squares, finite

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


def _of_all_replicas(value: tf.Tensor) -> tf.Tensor:
    """The replicas' values one after the other; `all_gather` fails within a loop ("destinations can not be empty")."""
    context = tf.distribute.get_replica_context()
    count, replicas = tf.shape(value)[0], context.num_replicas_in_sync
    before = tf.convert_to_tensor(context.replica_id_in_sync_group) * count
    around = [[before, (replicas - 1) * count - before], *[[0, 0]] * (value.shape.rank - 1)]
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.pad(value, around))


def _read(variables: list[tf.Variable]) -> Tensors:
    return [variable.read_value() for variable in variables]


def _assign(variables: Sequence[tf.Variable], values: Sequence[tf.Tensor]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
