"""One step again, uncompiled and looked at from within: which example, which layer, which gradient is no number.

The forward and backward half is the very one of training, with its seeds, parts and weights; only the update is left
out.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.heads import Head
from models.training.layer_traces import LayerTrace, traced
from models.training.micro_batches import build_forward_backward
from models.training.objective import Objective

Batch = dict[str, tf.Tensor]
Ids = Callable[[Sequence[int]], Sequence[str]]

_NAMED = 5  # examples in a line
# The step takes a gradient's squared norm in float32, and so for no number where that overflows.
_LARGEST_NORM = float(np.sqrt(np.finfo(np.float32).max))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replay:
    """What a step did, over the B examples of its global batch.

    Attributes:
        index: int64 `[B]`.
        label: int64 `[B]`; of mixed examples the class with the greatest share.
        pixels: float64 `[B, 2]`: lowest and highest value of each image as the model got it.
        losses: float64 `[B]`: of each example, class and sample weights included.
        layers: In the order in which they are done.
        weights: Path -> norm of each trainable variable before the step, float64; not finite where a value is.
        gradients: Path -> norm of the loss's gradient, in the same order.
    """

    index: np.ndarray
    label: np.ndarray
    pixels: np.ndarray
    losses: np.ndarray
    layers: tuple[LayerTrace, ...]
    weights: dict[str, float]
    gradients: dict[str, float]

    @property
    def first_bad_layer(self) -> LayerTrace | None:
        """The first layer whose output is not finite."""
        return next((layer for layer in self.layers if layer.not_finite), None)

    @property
    def first_bad_gradient(self) -> str | None:
        """The path of the first variable whose gradient is not finite, or too large, coming from the loss."""
        return next((path for path, norm in reversed(self.gradients.items()) if not norm < _LARGEST_NORM), None)

    def describe(self, ids: Ids | None = None) -> str:
        """A few lines.

        Args:
            ids: From places in the split to the examples' ids; asked for those that are named.
        """
        lines = [
            f"inputs     {self._inputs()}",
            f"weights    {self._weights()}",
            f"loss       {self._losses(ids)}",
            f"layers     {self._layers(ids)}",
            f"gradients  {self._gradients()}",
        ]
        return "\n".join(lines)

    def table(self) -> str:
        """The norm of each layer's output, then of each variable and its gradient, a line each."""
        width = max(map(len, ["layer", *(layer.name for layer in self.layers), *self.weights]))
        lines = [f"{'layer':{width}}  {'output norm':>12}  {'not finite':>10}"]
        lines += [f"{layer.name:{width}}  {layer.norm:12.4g}  {layer.share:10.2%}" for layer in self.layers]
        lines += ["", f"{'variable':{width}}  {'norm':>12}  {'gradient':>10}"]
        lines += [f"{path:{width}}  {norm:12.4g}  {self.gradients[path]:10.4g}" for path, norm in self.weights.items()]
        return "\n".join(lines)

    def _inputs(self) -> str:
        bad = ~np.isfinite(self.pixels).all(axis=1)
        if bad.any():
            return f"{bad.sum()} of {len(bad)} images are not finite"
        return f"{len(bad)} images, {self.pixels[:, 0].min():.4g} to {self.pixels[:, 1].max():.4g}"

    def _weights(self) -> str:
        bad = [path for path, norm in self.weights.items() if not np.isfinite(norm)]
        if bad:
            return f"not finite before the step: {', '.join(bad[:_NAMED])}" + (", ..." if len(bad) > _NAMED else "")
        largest = max(self.weights, key=self.weights.__getitem__)
        return f"all finite before the step; the greatest norm is {largest}'s, {self.weights[largest]:.4g}"

    def _losses(self, ids: Ids | None) -> str:
        bad = ~np.isfinite(self.losses)
        if not bad.any():
            return f"all finite, {self.losses.min():.4g} to {self.losses.max():.4g}"
        return f"{bad.sum()} of {len(bad)} examples have none that is finite: {self._examples(bad, ids)}"

    def _layers(self, ids: Ids | None) -> str:
        layer = self.first_bad_layer
        if layer is None:
            return "every output is finite"
        text = f"the first output that is not finite is that of {layer.name!r}: {layer.share:.2%} of its values"
        return text if layer.examples is None else f"{text}, of {self._examples(layer.examples, ids)}"

    def _gradients(self) -> str:
        path = self.first_bad_gradient
        if path is None:
            return "all finite"
        bad = sum(not norm < _LARGEST_NORM for norm in self.gradients.values())
        what = "not finite" if not np.isfinite(self.gradients[path]) else f"of norm {self.gradients[path]:.4g}"
        return f"{bad} of {len(self.gradients)} can't be used; the first, coming from the loss, is {path}'s, {what}"

    def _examples(self, which: np.ndarray, ids: Ids | None) -> str:
        places = np.flatnonzero(which)
        index = self.index[places[:_NAMED]].tolist()
        names = [f" {name!r}" for name in ids(index)] if ids else [""] * len(index)
        named = [
            f"index {i}{name} (class {self.label[place]}, pixels {low:.4g} to {high:.4g})"
            for i, name, place in zip(index, names, places, strict=False)
            for low, high in [self.pixels[place]]
        ]
        return ", ".join(named) + (f", and {len(places) - _NAMED} more" if len(places) > _NAMED else "")


def replay(
    model: keras.Model,
    head: Head,
    objective: Objective,
    parts: Sequence[Batch],
    *,
    augment: Callable[[Batch], Batch] | None = None,
    accumulate: int = 1,
    forward: keras.Model | None = None,
) -> Replay:
    """Runs the forward and backward half of a step on the weights and state that `model` has; nothing is changed.

    Args:
        model: Built; see `build_forward_backward`, as for the arguments that follow.
        head: Its head.
        objective: What is minimised.
        parts: The global batch: the batch of each replica in turn.
        augment: Of a replica's batch.
        accumulate: Parts that a replica's batch is cut into.
        forward: The model whose forward pass is called, as `build_training_step` has it.
    """
    forward = forward or model
    watched = _Watched(objective, augment)
    forward_backward = build_forward_backward(forward, head, watched, watched.augment, accumulate, set(), unrolled=True)
    weights = [tf.convert_to_tensor(v.value) for v in model.trainable_variables]
    state = [tf.convert_to_tensor(v.value) for v in model.non_trainable_variables]
    size = parts[0]["weight"].shape[0]
    count = sum(int(tf.math.count_nonzero(part["weight"])) for part in parts)
    gradients = [np.zeros(w.shape, np.float64) for w in weights]
    with traced(forward, size // accumulate) as layers, np.errstate(invalid="ignore", over="ignore"):
        for number, part in enumerate(parts):
            new, _, _ = forward_backward(weights, state, part, tf.constant(number), tf.ones([]))
            gradients = [
                a + tf.cast(g, tf.float64).numpy() * (size / count) for a, g in zip(gradients, new, strict=True)
            ]
    paths = [variable.path for variable in model.trainable_variables]
    own = np.concatenate([_column(part, "weight") * _column(part, "sample_weight") for part in parts])
    return Replay(
        index=np.concatenate([part["index"].numpy() for part in parts]),
        label=np.concatenate(watched.labels),
        pixels=np.concatenate(watched.pixels),
        losses=np.concatenate(watched.seen) * own,
        layers=tuple(layers),
        weights={path: _norm(w) for path, w in zip(paths, weights, strict=True)},
        gradients={path: float(np.linalg.norm(g)) for path, g in zip(paths, gradients, strict=True)},
    )


class _Watched:
    """An objective and an augmentation that keep what passes through them."""

    def __init__(self, objective: Objective, augment: Callable[[Batch], Batch] | None) -> None:
        self._objective, self._augment = objective, augment
        self.labels: list[np.ndarray] = []
        self.pixels: list[np.ndarray] = []
        self.seen: list[np.ndarray] = []

    def augment(self, batch: Batch) -> Batch:
        batch = self._augment(batch) if self._augment else batch
        label = batch["label"].numpy()
        images = tf.cast(batch["image"], tf.float64).numpy().reshape(len(label), -1)
        self.labels.append(label.argmax(axis=1) if label.ndim == 2 else label.astype(np.int64))
        self.pixels.append(np.stack([images.min(axis=1), images.max(axis=1)], axis=1))
        return batch

    def losses(self, label: tf.Tensor, outputs: tf.Tensor) -> Any:
        values = self._objective.losses(label, outputs)
        self.seen.append(tf.cast(values, tf.float64).numpy())
        return values


def _column(part: Batch, name: str) -> np.ndarray:
    return part[name].numpy().astype(np.float64) if name in part else np.ones(1)


def _norm(value: tf.Tensor) -> float:
    return float(np.linalg.norm(tf.cast(value, tf.float64).numpy()))
