import dataclasses

import pytest

from base.errors import InputError
from pipelines.reading.budget import available_memory
from scripts.searching.size_check import UNIMPORTANT, limits_of
from scripts.training import options as train_options
from tuning.processes.slots import Slot
from tuning.sizes.options import SizeOptions

CPUS = (Slot(number=1), Slot(number=2))


def test_memory_is_what_is_said_or_a_share_of_what_is_free_or_without_a_limit():
    def memory(text):
        return limits_of(SizeOptions(max_trial_memory=text), CPUS).memory

    assert memory("2GB") == 2_000_000_000 and memory("none") is None
    assert memory("auto") == pytest.approx(available_memory() / 2, rel=0.2)  # others use memory, too
    with pytest.raises(InputError, match=r"^Expected --max-trial-memory auto, none, .* max_trial_memory='lots'\.$"):
        memory("lots")


def test_fewer_parameters_than_one_are_refused():
    with pytest.raises(InputError, match="Expected --max-parameters of at least 1. Received: max_parameters=0"):
        SizeOptions(max_parameters=0)


def test_what_no_size_depends_on_are_options_of_training():
    known = {field.name for group in train_options.GROUPS.values() for field in dataclasses.fields(group)}
    assert known > UNIMPORTANT
