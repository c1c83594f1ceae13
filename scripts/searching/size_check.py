"""The sizes of trials, checked before they start: limits, and the process that answers. Free of TensorFlow."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence

from base.errors import InputError, input_error
from pipelines.reading.budget import available_memory, parse_bytes
from scripts.searching.trial_sizes import COMMAND
from scripts.training import options as train_options
from tuning.processes.gpus import Gpu, least_of
from tuning.processes.slots import Slot
from tuning.sizes.check import Limits, SizeCheck
from tuning.sizes.options import SizeOptions
from tuning.sizes.process import SizeProcess

# Whole groups of options that change nothing about a trial's size, and some of others.
_GROUPS = ("reading", "data service", "loss", "schedule", "checkpoints")
_OPTIONS = ("seed", "learning_rate", "weight_decay", "momentum", "finetune_rate", "first_layer_rate")
_OPTIONS += ("augment_strength", "evaluate_on", "start_from", "steps_per_call", "intra_op_threads", "inter_op_threads")
UNIMPORTANT = frozenset(_OPTIONS) | {
    field.name for group in _GROUPS for field in dataclasses.fields(train_options.GROUPS[group])
}

_UNKNOWN = "8.0"  # of a part of a divided GPU: from here on training takes 16 bits, and so the least memory


def limits_of(asked: SizeOptions, places: Sequence[Slot]) -> Limits:
    """What a trial may have.

    Args:
        asked: By the user.
        places: Where trials run.

    Raises:
        InputError: No number of bytes.
    """
    return Limits(parameters=asked.max_parameters, memory=_memory(asked.max_trial_memory, places))


@contextlib.contextmanager
def size_check(limits: Limits, places: Sequence[Slot], warn: Callable[[str], None]) -> Iterator[SizeCheck]:
    """Starts the process that answers, which loads for seconds, and ends it after the block.

    Args:
        limits: What a trial may have.
        places: Where trials run; they are alike.
        warn: Told why something can't be checked.
    """
    with SizeProcess([*COMMAND, _capability(places)], warn) as process:
        process.start()
        yield SizeCheck(process.ask, limits, added=places[0].options, unimportant=UNIMPORTANT)


def _memory(asked: str, places: Sequence[Slot]) -> int | None:
    if asked == "none":
        return None
    if asked == "auto":
        if _gpu_names(places):
            gpu = _gpu(places)
            return gpu and gpu.memory
        free = available_memory()
        return free and free // len(places)
    try:
        return parse_bytes(asked)
    except InputError:
        expected = "Expected --max-trial-memory auto, none, or a number of bytes, as 2000000000, 2GB or 1.5GiB"
        raise input_error(expected, max_trial_memory=asked) from None


def _capability(places: Sequence[Slot]) -> str:
    """The compute capability of the GPUs, for the precision that `auto` means there; "" where there are none."""
    gpu = _gpu(places)
    return gpu.capability if gpu else _UNKNOWN if _gpu_names(places) else ""


def _gpu(places: Sequence[Slot]) -> Gpu | None:
    names = _gpu_names(places)
    return least_of(names) if names else None


def _gpu_names(places: Sequence[Slot]) -> list[str]:
    named = [place.environment.get("CUDA_VISIBLE_DEVICES", "") for place in places]
    return [name for names in named for name in names.split(",") if name]
