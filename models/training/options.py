"""What training can be told, as options; free of TensorFlow."""

import dataclasses
from typing import Literal

from base.errors import require
from base.options import option

Precision = Literal["auto", "float32", "float64", "mixed_bfloat16", "mixed_float16"]
OptimizerName = Literal[
    "sgd",
    "rmsprop",
    "adam",
    "adamw",
    "adamax",
    "nadam",
    "adagrad",
    "adadelta",
    "adafactor",
    "ftrl",
    "lion",
    "lamb",
    "muon",
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class HardwareOptions:
    """Where the step runs, and in what arithmetic."""

    strategy: Literal["auto", "single", "mirrored", "multi_worker"] = option(
        "auto", "auto: mirrored where there are several GPUs, else single; multi_worker: several machines"
    )
    workers: str | None = option(
        None, "of multi_worker: host:port,host:port,...; by default those of TF_CONFIG, or of SLURM", neutral=True
    )
    worker_index: int | None = option(None, "of multi_worker: which of --workers this process is, from 0", neutral=True)
    worker_wait: float = option(
        300.0, "of multi_worker: seconds that the start waits for the other workers", neutral=True
    )
    worker_silence: float = option(
        30.0, "of multi_worker: seconds without a sign of life that make a worker lost", neutral=True
    )
    replicas: int | None = option(
        None, "of mirrored: by default one a GPU; without GPUs, N replicas are N logical CPU devices"
    )
    precision: Precision = option(
        "auto",
        "auto: mixed_bfloat16 on GPUs from compute capability 8.0, mixed_float16 on 7.x, else float32; "
        "float64 is for checking",
    )
    xla: Literal["auto", "on", "off"] = option("auto", "compile the step's two halves; auto: on GPUs only")
    sync_batch_norm: bool = option(False, "batch normalisation over the global batch, not each replica's part")
    intra_op_threads: int | None = option(None, "threads within an operation; by default one a core")
    inter_op_threads: int | None = option(None, "operations at a time; by default one a core")

    def __post_init__(self) -> None:
        require(
            self.replicas is None or self.replicas >= 1, "Expected --replicas of at least 1", replicas=self.replicas
        )
        require(
            self.strategy == "multi_worker" or (self.workers is None and self.worker_index is None),
            "Expected --strategy multi_worker with --workers",
            strategy=self.strategy,
        )
        require(
            self.strategy != "single" or self.replicas in (None, 1),
            "Expected --strategy mirrored with several --replicas",
            strategy=self.strategy,
            replicas=self.replicas,
        )
        for name in ("worker_wait", "worker_silence"):
            value = getattr(self, name)
            require(value >= 1, f"Expected --{name.replace('_', '-')} of at least 1 second", **{name: value})
        for name in ("intra_op_threads", "inter_op_threads"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"Expected --{name.replace('_', '-')} of at least 1", **{name: value})


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerOptions:
    """The optimizer of Keras, and its hyperparameters."""

    optimizer: OptimizerName = option("adam", "of Keras")
    learning_rate: float = option(1e-3, "of the optimizer")
    scale_lr: int | None = option(
        None, "the batch size that --learning-rate is meant for: it grows in proportion to the real one (Goyal 2017)"
    )
    momentum: float | None = option(None, "by default 0.9 with sgd, and as in Keras 0 with rmsprop, 0.95 with muon")
    nesterov: bool = option(False, "Nesterov's momentum, with sgd")
    weight_decay: float = option(0.0, "decoupled; of kernels only, not of biases and normalisation")
    clip_norm: float | None = option(None, "greatest norm of each gradient of the global batch")
    clip_global_norm: float | None = option(None, "greatest norm of all gradients together")
    clip_value: float | None = option(None, "greatest absolute value in a gradient")
    ema: float = option(0.0, "moving average of the weights with this momentum, which is evaluated and saved; 0: none")

    def __post_init__(self) -> None:
        require(self.learning_rate > 0, "Expected --learning-rate above 0", learning_rate=self.learning_rate)
        require(
            self.momentum is None or 0 <= self.momentum < 1,
            "Expected --momentum from 0 to below 1",
            momentum=self.momentum,
        )
        require(self.weight_decay >= 0, "Expected --weight-decay of at least 0", weight_decay=self.weight_decay)
        require(0 <= self.ema < 1, "Expected --ema from 0 to below 1", ema=self.ema)
        require(
            self.scale_lr is None or self.scale_lr >= 1, "Expected --scale-lr of at least 1", scale_lr=self.scale_lr
        )
        clips = {name: getattr(self, name) for name in ("clip_norm", "clip_global_norm", "clip_value")}
        given = {name: value for name, value in clips.items() if value is not None}
        require(len(given) <= 1, "Expected one way of clipping", **given)
        for name, value in given.items():
            require(value > 0, f"Expected --{name.replace('_', '-')} above 0", **{name: value})

    def scaled_learning_rate(self, batch_size: int | None) -> float:
        """The learning rate for a global batch of so many examples."""
        if self.scale_lr is None:
            return self.learning_rate
        return self.learning_rate * batch_size / self.scale_lr


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """The loop."""

    batch_size: int = option(64, "global batch of one update, over all replicas")
    epochs: int = option(10, "passes over the training split")
    seed: int = option(0, "of weights, order and dropout")
    accumulate: int = option(1, "equal parts that a batch is cut into, one after the other: less memory, the same step")
    steps_per_call: int = option(
        0, "steps in one call of the compiled loop; 0: as many as take a fifth of a second", neutral=True
    )
    early_stopping: int = option(0, "stop after so many epochs without a lower validation loss; 0: never")
    reduce_lr_on_plateau: int = option(
        0, "halve the learning rate after so many epochs without a lower validation loss; 0: never"
    )
    final: Literal["best", "last"] = option(
        "best", "weights that are saved and evaluated: of the lowest validation loss, or the last"
    )

    def __post_init__(self) -> None:
        for name in ("batch_size", "epochs", "accumulate"):
            at_least(1, self, name)
        for name in ("steps_per_call", "early_stopping", "reduce_lr_on_plateau"):
            at_least(0, self, name)
        require(0 <= self.seed < 2**31, "Expected --seed from 0 to 2147483647", seed=self.seed)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointOptions:
    """When a run is saved, beside the end of each epoch and a signal that ends it."""

    checkpoint_steps: int = option(0, "save every so many steps; 0: not for that reason", neutral=True)
    checkpoint_minutes: float = option(10.0, "save every so many minutes; 0: not for that reason", neutral=True)
    checkpoints: int = option(2, "the last ones that are kept", neutral=True)

    def __post_init__(self) -> None:
        at_least(0, self, "checkpoint_steps")
        at_least(0, self, "checkpoint_minutes")
        at_least(1, self, "checkpoints")


def at_least(least: int, options: object, name: str) -> None:
    """Refuses a smaller value of the option `name`."""
    value = getattr(options, name)
    require(value >= least, f"Expected --{name.replace('_', '-')} of at least {least}", **{name: value})
