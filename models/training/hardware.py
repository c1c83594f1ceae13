"""Devices, strategy, precision and XLA: chosen before anything else touches TensorFlow, and said as they are."""

import dataclasses
import functools
import json
import os
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from base.errors import input_error, require
from models.training.cluster import Cluster, find_cluster, require_free_port
from models.training.failures import PeerLost, is_lost_peer, telling_line
from models.training.heartbeat import Heartbeat
from models.training.options import HardwareOptions
from models.training.slurm import slurm_cluster
from models.training.tensorflow_internals import abort_collectives, configure_coordination, is_onednn_on

_TENSORFLOWS_PATIENCE = 20  # times ours


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hardware:
    """What training really runs on."""

    strategy: tf.distribute.Strategy
    devices: tuple[str, ...]  # of the replicas
    precision: str  # a Keras dtype policy
    xla: bool
    options: HardwareOptions  # every default resolved
    cluster: Cluster | None = None
    heartbeat: Heartbeat | None = None  # of a cluster of several workers

    @property
    def synchronized(self) -> bool:
        """Whether batch normalisation takes its moments over several replicas."""
        return self.options.sync_batch_norm and self.replicas > 1

    @property
    def workers(self) -> int:
        """Processes that train together."""
        return len(self.cluster.addresses) if self.cluster else 1

    @property
    def worker(self) -> int:
        """Which of them this is; the first one writes."""
        return self.cluster.index if self.cluster else 0

    @property
    def replicas(self) -> int:
        """Replicas in sync."""
        return self.strategy.num_replicas_in_sync

    def describe(self) -> dict[str, str]:
        """Title -> what is really on, for the start of a run."""
        threads = f"{self.options.intra_op_threads} intra-op, {self.options.inter_op_threads} inter-op"
        strategy = f"{self.options.strategy}, {self.replicas} replica{'s' if self.replicas > 1 else ''}"
        xla = "off"
        if self.xla:
            halves = "forward and backward half, update half"
            xla = "on (update half; synchronised batch normalisation)" if self.synchronized else f"on ({halves})"
        return {
            "devices": ", ".join(self.devices),
            "strategy": strategy + (f"; {self.cluster.describe()}" if self.cluster else ""),
            "precision": self.precision,
            "XLA": xla,
            "threads": threads,
            "CPU kernels": "oneDNN" if is_onednn_on() else "TensorFlow's own",
        }


def prepare(options: HardwareOptions, agreement: Mapping[str, Any] | None = None) -> Hardware:
    """Sets up devices, threads and the global dtype policy. Call once a process, before TensorFlow runs anything.

    Args:
        options: What is asked for.
        agreement: Name -> value, as JSON has it, of what must be the same on all workers of a cluster.

    Raises:
        StartAgain: Of several workers some have not come.
        InputError: More replicas than GPUs, or than CPU cores where there are no GPUs; a cluster that can't be made
            out; XLA for what can't be compiled.
    """
    cores = available_cores()
    cluster = _cluster(options)  # SLURM may deal out the GPUs
    gpus = tf.config.list_physical_devices("GPU")
    replicas = _replicas(options, len(gpus), cores)
    mirrored = options.strategy == "mirrored" or (options.strategy == "auto" and replicas > 1)
    intra, inter = options.intra_op_threads or cores, options.inter_op_threads or cores
    require(
        not (options.sync_batch_norm and options.xla == "on" and (cluster or replicas > 1)),
        "Expected --xla auto or off with --sync-batch-norm: a forward half that communicates can't be compiled",
        xla=options.xla,
    )
    _set_up(gpus, replicas, intra, inter)
    devices = tuple(f"{'GPU' if gpus else 'CPU'}:{i}" for i in range(replicas))
    precision = _precision(gpus[:replicas]) if options.precision == "auto" else options.precision
    keras.config.set_dtype_policy(precision)
    resolved = dataclasses.replace(
        options,
        strategy="multi_worker" if cluster else "mirrored" if mirrored else "single",
        replicas=replicas,
        precision=precision,
        xla="on" if (bool(gpus) if options.xla == "auto" else options.xla == "on") else "off",
        intra_op_threads=intra,
        inter_op_threads=inter,
    )
    strategy = _mirrored_strategy(devices) if mirrored else tf.distribute.get_strategy()
    heartbeat = None
    if cluster is not None:
        strategy, heartbeat = _multi_worker(cluster, options.worker_wait, options.worker_silence, json.dumps(agreement))
    return Hardware(
        strategy=strategy,
        devices=devices,
        precision=precision,
        xla=resolved.xla == "on",
        options=resolved,
        cluster=cluster,
        heartbeat=heartbeat,
    )


@functools.cache
def _multi_worker(
    cluster: Cluster, wait: float, silence: float, agreement: str
) -> tuple[tf.distribute.Strategy, Heartbeat | None]:
    require_free_port(cluster.addresses[cluster.index])
    if len(cluster.addresses) == 1:
        return _multi_worker_strategy(cluster), None
    heartbeat = Heartbeat(cluster, json.loads(agreement), silence=silence)
    heartbeat.meet(wait)
    # Ours is to judge who is alive: it counts only the time in which this process ran.
    configure_coordination(len(cluster.addresses), register=wait, silence=_TENSORFLOWS_PATIENCE * silence)
    try:
        with heartbeat.communicating():
            strategy = _multi_worker_strategy(cluster)
    except tf.errors.OpError as error:
        if heartbeat.loss or is_lost_peer(error):
            raise PeerLost(heartbeat.loss or telling_line(error)) from None
        raise
    heartbeat.on_loss(abort_collectives)
    return strategy, heartbeat


def _multi_worker_strategy(cluster: Cluster) -> tf.distribute.Strategy:
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.addresses)}),
        task_type="worker",
        task_id=cluster.index,
        rpc_layer="grpc",
    )
    return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)


def _cluster(options: HardwareOptions) -> Cluster | None:
    if options.strategy != "multi_worker":
        return None
    cluster = find_cluster(options.workers, options.worker_index, os.environ)
    cluster = cluster or slurm_cluster()
    if cluster is None:
        raise input_error(
            "Expected with --strategy multi_worker --workers host:port,... and --worker-index, or TF_CONFIG, or a task "
            "of SLURM"
        )
    return cluster


def available_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def _mirrored_strategy(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    # One a process: each numbers its collectives from the same start, and two on the same devices get in each other's
    # way ("Shape mismatch in the collective instance").
    return tf.distribute.MirroredStrategy(devices)


def _replicas(options: HardwareOptions, gpus: int, cores: int) -> int:
    if options.replicas is None:
        return max(1, gpus) if options.strategy != "single" else 1
    limit, of = (gpus, "GPUs") if gpus else (cores, "CPU cores (there is no GPU)")
    require(
        options.replicas <= limit,
        f"Expected --replicas of at most {limit}, the number of {of}",
        replicas=options.replicas,
    )
    return options.replicas


def _set_up(gpus: list, replicas: int, intra: int, inter: int) -> None:
    try:
        _set_devices_and_threads(gpus, replicas, intra, inter)
    except RuntimeError as error:  # "... after initialization"
        raise input_error(
            "Expected hardware to be prepared before TensorFlow runs anything",
            error=str(error).splitlines()[0],
            do="Call prepare() first, before datasets and models are made.",
        ) from None


def _set_devices_and_threads(gpus: list, replicas: int, intra: int, inter: int) -> None:
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    if not gpus and replicas > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        if len(tf.config.get_logical_device_configuration(cpu) or ()) < replicas:
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * replicas)
    # Once TensorFlow is running these can't be set, only agreed with.
    if (intra, inter) != (
        tf.config.threading.get_intra_op_parallelism_threads(),
        tf.config.threading.get_inter_op_parallelism_threads(),
    ):
        tf.config.threading.set_intra_op_parallelism_threads(intra)
        tf.config.threading.set_inter_op_parallelism_threads(inter)


def _precision(gpus: list) -> str:
    if not gpus:
        return "float32"
    return precision_on(
        min(tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0)) for gpu in gpus)
    )


def precision_on(capability: tuple[int, int]) -> str:
    """The dtype policy that `auto` means on GPUs of a compute capability."""
    if capability >= (8, 0):
        return "mixed_bfloat16"
    return "mixed_float16" if capability >= (7, 0) else "float32"
