import os

import pytest

from base.errors import InputError
from models.training.cluster import Cluster
from models.training.slurm import slurm_cluster

# As srun sets them for `srun --ntasks 3 --ntasks-per-node 2` on two nodes.
STEP = {
    "SLURM_PROCID": "1",
    "SLURM_STEP_NUM_TASKS": "3",
    "SLURM_STEP_NODELIST": "n[07-08]",
    "SLURM_STEP_TASKS_PER_NODE": "2,1",
    "SLURMD_NODENAME": "n07",
}


@pytest.fixture
def environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith("SLURM") or name == "CUDA_VISIBLE_DEVICES":
            monkeypatch.delenv(name)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")  # put back at the end, whatever is dealt out
    return monkeypatch


def test_each_task_of_a_step_is_a_worker_where_there_are_no_gpus(environment):
    assert slurm_cluster() is None
    for name, value in STEP.items():
        environment.setenv(name, value)
    assert slurm_cluster() == Cluster(("n07:8888", "n07:8889", "n08:8888"), 1)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1"


def test_the_gpus_that_all_tasks_of_a_node_see_are_dealt_out(environment):
    for name, value in {**STEP, "SLURM_GPUS_ON_NODE": "4"}.items():
        environment.setenv(name, value)
    assert slurm_cluster().index == 1
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2,3"
    environment.setenv("CUDA_VISIBLE_DEVICES", "0")
    environment.setenv("SLURM_GPUS_PER_TASK", "1")  # SLURM has dealt them out itself
    assert slurm_cluster().index == 1
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"SLURM_STEP_NODELIST": None}, "srun"),  # a batch script, which has a SLURM_PROCID too
        ({"SLURM_STEP_TASKS_PER_NODE": "many"}, "srun"),
        ({"SLURM_STEP_NUM_TASKS": "5"}, "srun"),
        # By name n10 comes before n9, where SLURM's first task is.
        ({"SLURM_STEP_NODELIST": "n[9-10]", "SLURMD_NODENAME": "n9", "SLURM_PROCID": "0"}, "node='n9'"),
    ],
)
def test_a_step_that_can_not_be_made_out_is_refused_in_one_line(environment, changed, named):
    for name, value in {**STEP, **changed}.items():
        if value is not None:
            environment.setenv(name, value)
    with pytest.raises(InputError, match=named) as error:
        slurm_cluster()
    assert "\n" not in str(error.value)
