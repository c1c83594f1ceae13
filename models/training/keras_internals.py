"""The private names of Keras that the training step leans on, all of them here.

`tests/models/training/test_keras_internals.py` names those that a new Keras has moved.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.tensorflow.core import Variable
from keras.src.backend.tensorflow.optimizer import TFOptimizer
from keras.src.optimizers.base_optimizer import BaseOptimizer
from keras.src.utils.naming import reset_uids

from models.training.tensorflow_internals import variable_without_values

# Creating slots beside their variables is needed under a strategy, and no obstacle to the pure update.
_KEPT = {"add_variable_from_reference", "__init__", "__module__", "__doc__", "__dict__", "__weakref__"}

# TensorFlow's optimizer class overrides Keras' neutral methods with ones that need tf.Variables. This class puts the
# neutral ones back: beside an optimizer's class it comes before TensorFlow's, and after what that class itself defines.
_Neutral = type(
    "Neutral",
    (keras.optimizers.Optimizer,),
    {
        name: getattr(BaseOptimizer, name)
        for name in vars(TFOptimizer)
        if name in vars(BaseOptimizer) and name not in _KEPT
    },
)


def pure_optimizer(
    optimizer: keras.optimizers.Optimizer, shares: Sequence[float] | None = None
) -> keras.optimizers.Optimizer:
    """A twin that shares the optimizer's variables and whose `stateless_apply` works on the TensorFlow backend.

    The optimizer itself keeps its class, so that a saved model names one that Keras knows.

    Args:
        optimizer: Built.
        shares: Of the learning rate, for each variable that it was built for; weight decay takes them too. None: all of
            it, for all.
    """
    kind = type(optimizer)
    bases = (kind, _Neutral) if shares is None else (_Discriminative, kind, _Neutral)
    twin = object.__new__(type(f"Pure{kind.__name__}", bases, {}))
    twin.__dict__.update(optimizer.__dict__)  # not copy.copy: Keras rebuilds a copy from its config, with new variables
    twin._trainable_variables_indices = {twin._var_key(v): i for i, v in enumerate(twin._trainable_variables)}
    if shares is not None:
        twin.__dict__["_shares"] = tuple(shares)  # Keras would track what is assigned
    return twin


class _Discriminative(keras.optimizers.Optimizer):
    """An optimizer's class in front of which this one stands learns each variable with a share of its rate."""

    _share = 1.0

    @property
    def learning_rate(self) -> Any:
        """Of the variable that is at hand."""
        return super().learning_rate * self._share

    def update_step(self, gradient: tf.Tensor, variable: keras.Variable, learning_rate: tf.Tensor) -> None:
        """As the optimizer's, with the variable's share."""
        super().update_step(gradient, variable, learning_rate * self._shares[self._get_variable_index(variable)])

    def _apply_weight_decay(self, variables: Sequence[keras.Variable]) -> None:
        for variable in variables:
            self.__dict__["_share"] = self._shares[self._get_variable_index(variable)]
            super()._apply_weight_decay([variable])
        self.__dict__["_share"] = 1.0


def moving_averages(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable] | None:
    """The moving averages of the trainable variables, where the optimizer keeps them (`use_ema`)."""
    return optimizer._model_variables_moving_average if optimizer.use_ema else None


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Every layer, those inside other layers and models too."""
    return list(model._flatten_layers(include_self=False))


def all_operations(model: keras.Model) -> list[keras.Operation]:
    """Every layer, and every other operation of functional models, once."""
    layers = all_layers(model)
    others = [operation for part in (model, *layers) for operation in getattr(part, "operations", ())]
    return list({id(operation): operation for operation in (*layers, *others) if operation is not model}.values())


@contextlib.contextmanager
def replaced_calls(
    operations: Sequence[keras.Operation],
    around: Callable[[keras.Operation, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any],
) -> Iterator[None]:
    """While it is open, each operation's `call` is `around`, which takes the operation, its own `call` and the
    arguments, and gives the outputs."""

    def replaced(operation: keras.Operation, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)  # Keras reads the signature
        def replacement(*args: Any, **kwargs: Any) -> Any:
            return around(operation, call, args, kwargs)

        return replacement

    for operation in operations:  # past Keras' own `__setattr__`, which would keep a record of it
        operation.__dict__["call"] = replaced(operation, operation.call)
    try:
        yield
    finally:
        for operation in operations:
            del operation.__dict__["call"]


@contextlib.contextmanager
def without_kernels() -> Iterator[None]:
    """While it is open, new variables of two dimensions and more have a shape and no values: models of whatever size
    are built at once, and can be traced, counted and given an optimizer, but not called."""
    initialize = Variable._initialize_with_initializer

    def put(variable: keras.Variable, initializer: Callable[..., Any]) -> None:
        if len(variable._shape) < 2:  # the statistics of layers, which some compute with while they are built
            initialize(variable, initializer)
            return
        own = {"trainable": variable.trainable, "name": variable.name}
        variable._initialize(variable_without_values(variable._shape, variable._dtype, **own))

    Variable._initialize_with_initializer = put
    try:
        yield
    finally:
        Variable._initialize_with_initializer = initialize


def own_copy(variable: keras.Variable) -> tf.Variable:
    """This replica's own copy of a variable, inside `strategy.run`."""
    value = variable.value
    return value._get() if hasattr(value, "_get") else value


def in_mode(model: keras.Model, *, training: bool) -> dict[str, bool]:
    """The argument that tells a model whether it trains; a `call` of the user's own may have none."""
    return {"training": training} if model._call_has_training_arg else {}


def is_seed(variable: keras.Variable) -> bool:
    """Whether a variable is the state of a random seed generator: two integers, the seed and a counter."""
    return variable.name == "seed_generator_state"


def build_metrics(model: keras.Model, targets: tf.Tensor, outputs: tf.Tensor) -> None:
    """Builds the compiled metrics, which callbacks look up by name, without a step of Keras' own loop."""
    model._compile_metrics.build(targets, outputs)
    model._compile_loss.build(targets, outputs)


def reset_names() -> None:
    """Lets the names that Keras gives to layers without one start anew, so that they don't depend on earlier models."""
    reset_uids()
