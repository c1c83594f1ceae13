"""What the layers of a model give while it runs uncompiled: norms, and where numbers stop to be finite."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.training.keras_internals import all_operations, replaced_calls


@dataclasses.dataclass
class LayerTrace:
    """The outputs of one layer, or of one operation of a functional model, over all its calls.

    Attributes:
        name: Of the layer.
        values: Numbers in its outputs.
        not_finite: How many of them are not finite.
        square: The sum of the squares of the others.
        examples: bool, a value for each example of each call in turn: whether any of its numbers is not finite; None
            where outputs are not one row an example.
    """

    name: str
    values: int = 0
    not_finite: int = 0
    square: float = 0.0
    examples: np.ndarray | None = dataclasses.field(default_factory=lambda: np.zeros(0, bool))

    @property
    def norm(self) -> float:
        """Of the finite numbers."""
        return float(np.sqrt(self.square))

    @property
    def share(self) -> float:
        """Of the numbers that are not finite."""
        return self.not_finite / max(self.values, 1)

    def add(self, outputs: Any, examples: int) -> None:
        """Looks at the outputs of one call, of so many examples; integers pass unseen."""
        rows = np.zeros(examples, bool)
        for output in tf.nest.flatten(outputs):
            if not (tf.is_tensor(output) and output.dtype.is_floating):
                continue
            values = tf.cast(output, tf.float64).numpy()
            bad = ~np.isfinite(values)
            self.values += values.size
            self.not_finite += int(bad.sum())
            self.square += float(np.square(np.where(bad, 0, values)).sum())
            if values.ndim and values.shape[0] == examples:
                rows |= bad.reshape(examples, -1).any(axis=1)
            else:
                self.examples = None
        if self.examples is not None:
            self.examples = np.concatenate([self.examples, rows])


@contextlib.contextmanager
def traced(model: keras.Model, examples: int) -> Iterator[list[LayerTrace]]:
    """While it is open, every call of the model's layers is looked at; of nested models, the inner layers first.

    Args:
        model: Called eagerly, on so many `examples` at a time.

    Yields:
        The traces, in the order in which the layers are first done.
    """
    traces: dict[int, LayerTrace] = {}

    order: list[LayerTrace] = []

    def trace(operation: keras.Operation, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]):
        outputs = call(*args, **kwargs)
        if id(operation) not in traces:
            traces[id(operation)] = LayerTrace(operation.name)
            order.append(traces[id(operation)])
        traces[id(operation)].add(outputs, examples)
        return outputs

    with replaced_calls(all_operations(model), trace):
        yield order
