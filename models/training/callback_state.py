"""What Keras' callbacks have in mind between two epochs, so that a run can go on in another process."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

# Keras' own that remember something, and what. All else of theirs comes from their arguments.
_REMEMBERED = {
    "EarlyStopping": ("wait", "best", "stopped_epoch", "best_epoch"),
    "ReduceLROnPlateau": ("wait", "best", "cooldown_counter"),
    "ModelCheckpoint": ("best", "epochs_since_last_save", "_batches_seen_since_last_saving"),
}
# Keras' own that remember nothing that a new process would miss.
_FORGETFUL = ("TensorBoard", "History", "CSVLogger", "LearningRateScheduler", "TerminateOnNaN", "LambdaCallback")


def states_of(callbacks: Sequence[keras.callbacks.Callback]) -> list[dict[str, Any]]:
    """The state of each callback, as JSON can hold it: by `get_state` where it has one."""
    return [{"name": type(callback).__name__, "state": _state(callback)} for callback in callbacks]


def arrays_of(callbacks: Sequence[keras.callbacks.Callback]) -> dict[str, np.ndarray]:
    """The best weights that an `EarlyStopping` keeps, to put them back at the end."""
    return {
        f"callbacks/{place}/{number:04d}": value
        for place, callback in enumerate(_keeping_weights(callbacks))
        for number, value in enumerate(callback.best_weights or ())
    }


def restore(
    callbacks: Sequence[keras.callbacks.Callback], states: Sequence[dict[str, Any]], arrays: Mapping[str, np.ndarray]
) -> list[str]:
    """Gives callbacks their states back, after `on_train_begin`, which resets them.

    Args:
        callbacks: As they were when the states were saved.
        states: Of `states_of`.
        arrays: Of `arrays_of`; others may be among them.

    Returns:
        The names of those that go on without what they knew: they have no `get_state` and `set_state`, or were not
        there when the states were saved.
    """
    for place, callback in enumerate(_keeping_weights(callbacks)):
        names = sorted(name for name in arrays if name.startswith(f"callbacks/{place}/"))
        callback.best_weights = [arrays[name] for name in names] or None
    left = list(states)
    lost = []
    for callback in callbacks:
        name = type(callback).__name__
        found = next((state for state in left if state["name"] == name), None)
        if found is not None:
            left.remove(found)
        if hasattr(callback, "set_state"):
            if found is None:
                lost.append(name)
            else:
                callback.set_state(found["state"])
        elif _is_kerass(callback) and name in _REMEMBERED:
            for attribute, value in (found or {"state": {}})["state"].items():
                setattr(callback, attribute, value)
            lost += [name] if found is None else []
        elif not (_is_kerass(callback) and name in _FORGETFUL) and not _remembers_nothing(callback):
            lost.append(name)
    return lost


def _keeping_weights(callbacks: Sequence[keras.callbacks.Callback]) -> list[keras.callbacks.EarlyStopping]:
    return [one for one in callbacks if isinstance(one, keras.callbacks.EarlyStopping)]


def _state(callback: keras.callbacks.Callback) -> dict[str, Any] | None:
    if hasattr(callback, "get_state"):
        return callback.get_state()
    names = _REMEMBERED.get(type(callback).__name__, ()) if _is_kerass(callback) else ()
    return {name: _plain(getattr(callback, name)) for name in names if hasattr(callback, name)}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _is_kerass(callback: keras.callbacks.Callback) -> bool:
    return type(callback).__module__.startswith("keras.")


def _remembers_nothing(callback: keras.callbacks.Callback) -> bool:
    """Whether a callback says so: `stateless = True` on its class."""
    return getattr(callback, "stateless", False)
