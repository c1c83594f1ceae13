"""The private names of TensorFlow that training leans on, all of them here.

`tests/models/training/test_tensorflow_internals.py` names those that a new TensorFlow has moved.
"""

import tensorflow as tf
from tensorflow.compiler.xla.tsl.protobuf import coordination_config_pb2
from tensorflow.python.eager import context
from tensorflow.python.ops.resource_variable_ops import UninitializedVariable
from tensorflow.python.util import _pywrap_util_port

_LEADER = "/job:worker/replica:0/task:0"


def configure_coordination(workers: int, *, register: float, silence: float) -> None:
    """Sets the waits of TensorFlow's own service for several machines, before the strategy is made.

    By default a worker that says nothing for 10 s counts as dead, and the start waits for an hour.

    Args:
        workers: Processes.
        register: Seconds that the start may take.
        silence: Seconds without a sign of life after which TensorFlow gives a worker up.
    """
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader=_LEADER,
        coordinated_jobs=[coordination_config_pb2.CoordinatedJob(name="worker", num_tasks=workers)],
        cluster_register_timeout_in_ms=int(1000 * register),
        heartbeat_timeout_in_ms=int(1000 * silence),
    )


def abort_collectives(why: str) -> None:
    """Lets the collective operations that wait fail, and all later ones, by `UnavailableError`; from any thread."""
    context.context().abort_collective_ops(tf.errors.UNAVAILABLE, why)


def variable_without_values(shape: tuple[int, ...], dtype: str, **arguments: object) -> tf.Variable:
    """A variable that takes no memory until it is assigned to; what is read before is empty, whatever its shape."""
    return UninitializedVariable(shape=shape, dtype=dtype, **arguments)


def is_onednn_on() -> bool:
    """Whether operations on the CPU use oneDNN's kernels, where it has them."""
    return _pywrap_util_port.IsMklEnabled()
