"""One worker of a cluster on loopback, as a process: `worker.py JOB`, a JSON object on the command line.

What it learnt goes to `out`. With `signal` and `at` it sends itself that signal after so many steps, or at the
"start", the first "evaluation", or while "saving".
"""

import json
import os
import sys
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
sys.path.insert(0, str(Path(__file__).parents[3]))

import keras
import numpy as np

from base import command, signals
from base.errors import input_error
from models.cnn import build_cnn
from models.cnn_options import CNNOptions
from models.heads import Head
from models.training import hardware
from models.training.broadcast import broadcast
from models.training.checkpoint import CheckpointFolder
from models.training.compiling import compile_model
from models.training.feed import Feed
from models.training.keeper import Keeper
from models.training.normalization import synchronize
from models.training.optimizers import build_optimizer
from models.training.options import HardwareOptions, OptimizerOptions
from models.training.snapshot import Snapshot
from models.training.together import together
from models.training.trainer import Trainer
from tests.models.training.conftest import CLASSES, SIZE, Task


class Failing(keras.callbacks.Callback):
    """Ends or stops the process as a machine that fails does."""

    stateless = True

    def __init__(self, number, step):
        super().__init__()
        self._number, self._step = number, step

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 >= self._step:
            self._step = float("inf")
            os.kill(os.getpid(), self._number)


def failing_at(moment, number, trainer):
    """Lets this process get a signal as soon as it evaluates, or writes a checkpoint."""
    owner, name = {"evaluation": (trainer, "evaluate"), "saving": (np, "savez")}[moment]
    real = getattr(owner, name)

    def fail(*args, **kwargs):
        os.kill(os.getpid(), number)
        return real(*args, **kwargs)

    setattr(owner, name, fail)


def own_parts(feed, workers, worker):
    """A worker's parts of the global batches: the feed was cut for `workers` replicas, one a worker."""
    return Feed(dataset=feed.dataset.shard(workers, worker), examples=feed.examples, batch_size=feed.batch_size)


def main(job):
    options = HardwareOptions(precision=job["precision"], **job["hardware"])
    machine = hardware.prepare(options, job.get("agreement"))
    with together(machine.heartbeat), signals.held_back() as received:
        train(job, machine, received)


def odd_snapshot(step):
    """Arrays of bits that arithmetic would change, empty ones, and more than travels at once."""
    rng = np.random.default_rng(0)
    return Snapshot(
        arrays={
            "nan": np.uint32([0x7FC12345, 0xFFA00001, 0x80000000, 1]).view(np.float32),
            "int64": np.int64([[-(2**63)], [2**63 - 1]]),
            "bool": np.bool_([True, False, True]),
            "uint32": np.uint32([2**32 - 1]),
            "empty": np.zeros([0, 3], np.float64),
            "scalar": np.asarray(-0.0),
            "large": rng.integers(0, 256, 9_000_001, np.uint8),
            "half": rng.normal(size=[3, 5]).astype(np.float16),
        },
        step=step,
        epoch=1,
        steps_of_epoch=2,
        history={"loss": [0.1, 1 / 3]},
        callbacks=[{"name": "Straße", "state": None}],
    )


def train(job, machine, received):
    if job.get("at") == "start":
        os.kill(os.getpid(), job["signal"])
    if "refuse" in job:
        raise input_error("Expected a better file", file=job["refuse"])
    head = Head("softmax", "cross_entropy", CLASSES)
    keras.utils.set_random_seed(job.get("seed", 1))
    with machine.strategy.scope():
        model = build_cnn(CNNOptions(blocks=2, filters=4, dense_units=16, **job["cnn"]), (SIZE, SIZE, 1), head)
        if machine.synchronized:
            synchronize(model)
        compile_model(model, head, build_optimizer(OptimizerOptions(**job["optimizer"])))
    trainer = Trainer(model, head=head, hardware=machine)
    task = Task()
    folder = CheckpointFolder(Path(job["checkpoints"])) if "checkpoints" in job else None
    start = broadcast(machine, folder.load_newest() if folder else None)
    training = task.training(24, machine.workers)
    skipped = (start.step if start else 0) * machine.workers
    training = Feed(dataset=training.dataset.skip(skipped), examples=training.examples, batch_size=24)
    feeds = [
        own_parts(feed, machine.workers, machine.worker) for feed in (training, task.evaluation(24, machine.workers))
    ]
    callbacks, extra = [], {}
    if isinstance(job.get("at"), int):
        callbacks = [Failing(job["signal"], job["at"])]
    elif job.get("at") in ("evaluation", "saving"):
        failing_at(job["at"], job["signal"], trainer)
    history = trainer.fit(
        *feeds,
        epochs=job["epochs"],
        steps_per_call=job.get("steps_per_call", 4),
        callbacks=callbacks,
        keeper=Keeper(folder, received=received, peers=machine.heartbeat) if folder else None,
        start=start,
    )
    if job.get("carried"):  # worker 1 has the newest, the other one an older
        carried = broadcast(machine, odd_snapshot(4 + machine.worker))
        extra = {f"carried/{name}": value for name, value in carried.arrays.items()}
        extra["carried_facts"] = np.array(json.dumps(carried.facts()))
    weights = {f"{i:03d}": v.numpy() for i, v in enumerate(model.variables)}
    np.savez(job["out"], loss=history.history["loss"], val_loss=history.history["val_loss"], **weights, **extra)


if __name__ == "__main__":
    command.end(command.run(lambda _: main(json.loads(sys.argv[1]))))
