"""A model in numbers, layer by layer: what `summary.py` prints and gives as JSON."""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import keras

from models.summary.calls import Call, calls_of
from models.summary.counting import count
from models.summary.memory import memory_of
from models.summary.receptive_field import Extent, Field, receptive_fields
from models.training.keras_internals import is_seed


def model_report(
    model: keras.Model,
    image_shape: tuple[int, int, int],
    *,
    optimizer: keras.optimizers.Optimizer,
    batch_size: int,
) -> dict[str, Any]:
    """Counts a model.

    Args:
        model: Built; takes images `[B, H, W, C]`.
        image_shape: (H, W, C).
        optimizer: That it would be trained with; is built for the model when it is not.
        batch_size: That it would be trained with, on one device.

    Returns:
        `layers`: for each call of a layer, in order: `name`, `type`, `output_shape` (without the batch), `trainable`
        and `frozen` (parameters; of a layer that is called again 0), `multiply_adds` and `flops` (of an image in
        inference; None where not known), `receptive_field` (`size`, `stride`, `start`, pixels along height and width;
        None where there is none), `sees` ("a part", "the whole image" or "not known").
        `parameters`: `trainable`, `frozen` (moving averages too), `total`. `multiply_adds`, `flops`: sums.
        `not_counted`: types of layers whose computation is not known. `memory`: bytes of a step of training: `weights`,
        `gradients`, `optimizer`, `activations`, `working`, `total`, for `batch_size`.

    Raises:
        InputError: The model takes no such images.
    """
    calls = calls_of(model, image_shape)
    counts = [count(call) for call in calls]
    memory = memory_of(model, calls, optimizer, batch_size)
    trained = parameters_in(model.trainable_variables)
    total = parameters_in(model.variables)
    return {
        "image_shape": list(image_shape),
        "layers": [
            {
                "name": call.name,
                "type": type(call.operation).__name__,
                "output_shape": list(call.output.shape),
                **own,
                "multiply_adds": None if counted is None else counted.multiply_adds,
                "flops": None if counted is None else counted.flops,
                "receptive_field": dataclasses.asdict(field) if isinstance(field, Field) else None,
                "sees": field.value if isinstance(field, Extent) else "a part",
            }
            for call, own, counted, field in zip(
                calls, _own_parameters(calls), counts, receptive_fields(calls), strict=True
            )
        ],
        "parameters": {"trainable": trained, "frozen": total - trained, "total": total},
        "multiply_adds": sum(counted.multiply_adds for counted in counts if counted),
        "flops": sum(counted.flops for counted in counts if counted),
        "not_counted": sorted(
            {type(call.operation).__name__ for call, counted in zip(calls, counts, strict=True) if counted is None}
        ),
        "memory": {"batch_size": batch_size, **dataclasses.asdict(memory), "total": memory.total},
    }


def _own_parameters(calls: Sequence[Call]) -> list[dict[str, int]]:
    """Of each call's layer, where it is called first."""
    seen: set[int] = set()
    own = []
    for call in calls:
        new = id(call.operation) not in seen and isinstance(call.operation, keras.Layer)
        seen.add(id(call.operation))
        trainable = parameters_in(call.operation.trainable_variables) if new else 0
        own.append(
            {"trainable": trainable, "frozen": parameters_in(call.operation.variables) - trainable if new else 0}
        )
    return own


def parameters_in(variables: Iterable[keras.Variable]) -> int:
    """How many numbers these variables hold; the states of random seeds are none."""
    return sum(math.prod(variable.shape) for variable in variables if not is_seed(variable))
