import dataclasses

import pytest

from base.errors import InputError
from tuning.processes.machine import Machine
from tuning.processes.slots import slots

SIX_CORES = Machine(gpus=(), cores=(0, 1, 2, 3, 8, 9))
FOUR_GPUS = Machine(gpus=("0", "1", "2", "MIG-7"), cores=tuple(range(9)))


def threads(count: int) -> dict[str, int]:
    return {"intra_op_threads": count, "inter_op_threads": count, "decode_threads": count}


@pytest.mark.parametrize(
    ("parallel", "devices", "cores"),
    [
        ("auto", None, [(0,), (1,), (2,), (3,), (8,), (9,)]),
        (2, None, [(0, 1, 2), (3, 8, 9)]),
        (4, None, [(0,), (1,), (2,), (3,)]),  # alike, though two cores are left over
        (1, None, [(0, 1, 2, 3, 8, 9)]),
        ("auto", 4, [(0, 1, 2, 3)]),
        (2, 2, [(0, 1), (2, 3)]),
    ],
)
def test_cores_are_dealt_out_in_equal_shares(parallel, devices, cores):
    dealt = slots(parallel, devices, SIX_CORES, bound=True)
    assert slots(parallel, devices, SIX_CORES) == tuple(dataclasses.replace(slot, cores=()) for slot in dealt)
    assert [slot.cores for slot in dealt] == cores
    assert [slot.options for slot in dealt] == [threads(len(share)) for share in cores]
    assert [slot.number for slot in dealt] == list(range(1, len(cores) + 1))
    assert not any(slot.environment for slot in dealt)


@pytest.mark.parametrize(
    ("parallel", "devices", "gpus", "share"),
    [("auto", None, ["0", "1", "2", "MIG-7"], 2), (3, None, ["0", "1", "2"], 3), ("auto", 2, ["0,1", "2,MIG-7"], 4)],
)
def test_a_trial_has_gpus_and_a_share_of_the_cores_to_itself(parallel, devices, gpus, share):
    dealt = slots(parallel, devices, FOUR_GPUS, bound=True)
    assert [slot.environment for slot in dealt] == [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in gpus]
    strategy = {"strategy": "mirrored", "replicas": 2} if devices == 2 else {"strategy": "single"}
    assert all(slot.options == {**threads(share), **strategy} for slot in dealt)
    taken = [core for slot in dealt for core in slot.cores]
    assert len(taken) == len(set(taken)) == share * len(gpus)


def test_trials_on_gpus_share_all_cores_where_there_are_too_few():
    dealt = slots("auto", None, Machine(gpus=("0", "1", "2"), cores=(0, 1)), bound=True)
    assert [(slot.cores, slot.options) for slot in dealt] == [((), {**threads(1), "strategy": "single"})] * 3


@pytest.mark.parametrize(
    ("parallel", "devices", "machine", "message"),
    [
        (5, None, FOUR_GPUS, "Expected --parallel of at most 4: 1 a trial, of the 4 GPUs of this machine."),
        (3, 2, FOUR_GPUS, "Expected --parallel of at most 2: 2 a trial, of the 4 GPUs of this machine."),
        ("auto", 5, FOUR_GPUS, "Expected --devices-per-trial of at most the 4 GPUs of this machine. Received: d"),
        (7, None, SIX_CORES, "Expected --parallel of at most 6: 1 a trial, of the 6 CPU cores of this machine."),
        (0, None, SIX_CORES, "Expected --parallel auto, or at least 1. Received: parallel=0."),
        ("auto", 0, SIX_CORES, "Expected --devices-per-trial of at least 1. Received: devices_per_trial=0."),
    ],
)
def test_more_than_there_is_is_refused(parallel, devices, machine, message):
    with pytest.raises(InputError) as refused:
        slots(parallel, devices, machine)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_a_slot_says_what_it_is():
    described = [slot.describe() for slot in slots("auto", 2, FOUR_GPUS)]
    assert described == ["GPU 0, 1; 4 threads", "GPU 2, MIG-7; 4 threads"]
    assert [slot.describe() for slot in slots(2, None, SIX_CORES)] == ["3 threads", "3 threads"]
    assert slots(2, None, SIX_CORES, bound=True)[1].describe() == "cores 3, 8, 9"
    assert slots("auto", None, SIX_CORES, bound=True)[4].describe() == "core 8"
