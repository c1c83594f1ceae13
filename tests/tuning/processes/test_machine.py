import os

import pytest

from tuning.processes.machine import find_machine, gpus_of_folder, listed_gpus, visible_gpus, within_quota

LISTING = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-c6d4f1ef-42e4-7de3-91c7-45d71c87eb3f)
  MIG 3g.40gb     Device  0: (UUID: MIG-0cc3e3a5-6b1c-5f5b-8c2a-0a1a2b3c4d5e)
  MIG 3g.40gb     Device  1: (UUID: MIG-e1a6d0c7-1c2b-5d3e-9f4a-5b6c7d8e9f01)
GPU 10: NVIDIA H100 80GB HBM3 (UUID: GPU-c6d4f1ef-42e4-7de3-91c7-45d71c87eb30)
"""


def test_of_a_divided_gpu_its_parts_are_listed():
    parts = ("MIG-0cc3e3a5-6b1c-5f5b-8c2a-0a1a2b3c4d5e", "MIG-e1a6d0c7-1c2b-5d3e-9f4a-5b6c7d8e9f01")
    assert listed_gpus(LISTING) == ("0", *parts, "10")
    assert listed_gpus("No devices found.\n") == ()


def test_without_nvidia_smi_the_driver_s_folder_says_how_many_there_are(tmp_path):
    assert gpus_of_folder(tmp_path) == ()
    for bus in ("0000:0a:00.0", "0000:3b:00.0"):
        (tmp_path / "proc/driver/nvidia/gpus" / bus).mkdir(parents=True)
    assert gpus_of_folder(tmp_path) == ("0", "1")


@pytest.mark.parametrize(
    ("named", "visible"),
    [
        (None, ("0", "1", "2")),
        ("", ()),
        ("-1", ()),
        ("2, 0", ("2", "0")),
        ("1,5,0", ("1",)),
        ("GPU-5d5b,1", ("GPU-5d5b", "1")),
        ("0,-1,1", ("0",)),
    ],
)
def test_cuda_visible_devices_is_read_as_cuda_reads_it(named, visible):
    environment = {} if named is None else {"CUDA_VISIBLE_DEVICES": named}
    assert visible_gpus(("0", "1", "2"), environment) == visible
    assert visible_gpus((), environment) == ()


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, (1, 3, 5, 7)),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/cpu.max": "max 100000",
                "sys/fs/cgroup/a/cpu.max": "250000 100000",
            },
            (1, 3),
        ),
        ({"proc/self/cgroup": "0::/elsewhere\n", "sys/fs/cgroup/cpu.max": "50000 100000"}, (1,)),
        (
            {
                "proc/self/cgroup": "4:memory:/\n3:cpu,cpuacct:/x\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            (1, 3, 5),
        ),
        (
            {
                "proc/self/cgroup": "3:cpu:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            (1, 3, 5, 7),
        ),
    ],
    ids=["no group", "version 2, further up", "version 2, half a core", "version 1", "version 1, no limit"],
)
def test_a_control_group_s_quota_leaves_fewer_cores(tmp_path, files, cores):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert within_quota({7, 1, 5, 3}, tmp_path) == cores


def test_this_machine_has_cores_of_this_process():
    cores = find_machine().cores
    assert cores
    assert set(cores) <= os.sched_getaffinity(0)
