"""The tasks of SLURM as workers, read by TensorFlow's own resolver."""

import os
import re

import tensorflow as tf

from base.errors import input_error, require
from models.training.cluster import Cluster


def slurm_cluster() -> Cluster | None:
    """The tasks of the step of SLURM that this process is one of; None where it is none.

    Ports are those that the resolver gives, 8888 and up. GPUs of a node that all its tasks see are dealt out to them,
    by `CUDA_VISIBLE_DEVICES`: call it before TensorFlow looks for devices.

    Raises:
        InputError: SLURM's variables can't be made out, or TensorFlow orders the nodes otherwise.
    """
    if "SLURM_PROCID" not in os.environ:
        return None
    try:
        # Left to itself the resolver asks nvidia-smi, and fails where there are fewer GPUs than tasks, or none.
        tasks = max(int(re.match(r"\d+", part)[0]) for part in os.environ["SLURM_STEP_TASKS_PER_NODE"].split(","))
        gpus = int(os.environ.get("SLURM_GPUS_ON_NODE", 0))
        dealt = gpus >= tasks > 1 and "SLURM_GPUS_PER_TASK" not in os.environ
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            gpus_per_node=gpus if dealt else tasks,
            gpus_per_task=gpus // tasks if dealt else 1,
            auto_set_gpu=dealt,
        )
        addresses = resolver.cluster_spec().as_dict()["worker"]
        index = resolver.get_task_info()[1]
    except (RuntimeError, ValueError, TypeError, KeyError, IndexError) as error:
        raise input_error(
            "Expected a task of SLURM that was started by srun",
            error=f"{type(error).__name__}: {error}",
            do="Start it so, or give --workers and --worker-index.",
        ) from None
    node = os.environ.get("SLURMD_NODENAME")
    require(
        node is None or addresses[index].rpartition(":")[0] == node,
        f"Expected SLURM's task {index} at {addresses[index]}: TensorFlow takes the nodes in the order of their names",
        node=node,
        do="Give --workers and --worker-index.",
    )
    return Cluster(tuple(addresses), index)
