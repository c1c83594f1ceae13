"""Options -> a Keras optimizer."""

import inspect

import keras

from models.training.options import OptimizerOptions

# What weight decay leaves alone, by the names that Keras gives its variables.
_NOT_DECAYED = ["bias", "gamma", "beta"]

_CLASSES = {
    "sgd": keras.optimizers.SGD,
    "rmsprop": keras.optimizers.RMSprop,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "adamax": keras.optimizers.Adamax,
    "nadam": keras.optimizers.Nadam,
    "adagrad": keras.optimizers.Adagrad,
    "adadelta": keras.optimizers.Adadelta,
    "adafactor": keras.optimizers.Adafactor,
    "ftrl": keras.optimizers.Ftrl,
    "lion": keras.optimizers.Lion,
    "lamb": keras.optimizers.Lamb,
    "muon": keras.optimizers.Muon,
}

_SGD_MOMENTUM = 0.9  # Keras has 0


def build_optimizer(
    options: OptimizerOptions, batch_size: int | None = None, *, rate_factor: float = 1.0
) -> keras.optimizers.Optimizer:
    """The optimizer that the options ask for; unbuilt.

    Args:
        options: Of the optimizer.
        batch_size: Of the global batch; needed where the learning rate is scaled with it.
        rate_factor: On the learning rate.
    """
    cls = _CLASSES[options.optimizer]
    known = inspect.signature(cls.__init__).parameters
    wanted = {
        "learning_rate": options.scaled_learning_rate(batch_size) * rate_factor,
        # Keras' AdamW takes no weight decay of None; 0 is none.
        "weight_decay": options.weight_decay if options.optimizer == "adamw" else options.weight_decay or None,
        **_momentum(options),
        "nesterov": options.nesterov,
        "clipnorm": options.clip_norm,
        "global_clipnorm": options.clip_global_norm,
        "clipvalue": options.clip_value,
        "use_ema": options.ema > 0,
        "ema_momentum": options.ema or 0.99,
    }
    optimizer = cls(**{name: value for name, value in wanted.items() if name in known})
    if options.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=_NOT_DECAYED)
    return optimizer


def _momentum(options: OptimizerOptions) -> dict[str, float]:
    """Where nobody says it, Keras' own: with RMSprop none. A recipe of the tutorials, `rmsprop` with a learning rate of
    0.001, does not learn with 0.9, by which steps grow tenfold.
    """
    default = _SGD_MOMENTUM if options.optimizer == "sgd" else None
    momentum = default if options.momentum is None else options.momentum
    return {} if momentum is None else {"momentum": momentum}
