"""Options -> a Keras optimizer."""

import keras

from models.training.options import OptimizerOptions

# What weight decay leaves alone, by the names that Keras gives its variables.
_NOT_DECAYED = ["bias", "gamma", "beta"]


def build_optimizer(options: OptimizerOptions) -> keras.optimizers.Optimizer:
    """The optimizer that the options ask for; unbuilt."""
    arguments = {"learning_rate": options.learning_rate, "weight_decay": options.weight_decay or None}
    match options.optimizer:
        case "sgd":
            optimizer = keras.optimizers.SGD(momentum=options.momentum, nesterov=options.nesterov, **arguments)
        case "rmsprop":
            optimizer = keras.optimizers.RMSprop(momentum=options.momentum, **arguments)
        case "adam":
            optimizer = keras.optimizers.Adam(**arguments)
        case "adamw":
            # Keras' AdamW takes no weight decay of None; 0 is none.
            optimizer = keras.optimizers.AdamW(**{**arguments, "weight_decay": options.weight_decay})
        case "adagrad":
            optimizer = keras.optimizers.Adagrad(**arguments)
    if options.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=_NOT_DECAYED)
    return optimizer
