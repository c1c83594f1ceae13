"""One worker of a cluster on loopback, as a process: `worker.py JOB`, a JSON object on the command line.

What it learnt goes to `out`; with `die_at` it kills itself after so many steps.
"""

import json
import os
import signal
import sys
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
sys.path.insert(0, str(Path(__file__).parents[3]))

import keras
import numpy as np

from models.cnn import build_cnn
from models.cnn_options import CNNOptions
from models.heads import Head
from models.training import hardware
from models.training.checkpoint import CheckpointFolder
from models.training.failures import PeerLost
from models.training.feed import Feed
from models.training.keeper import Keeper
from models.training.normalization import synchronize
from models.training.optimizers import build_optimizer
from models.training.options import HardwareOptions, OptimizerOptions
from models.training.trainer import Trainer, compile_model
from tests.models.training.conftest import CLASSES, SIZE, Task


class Dying(keras.callbacks.Callback):
    """Ends the process as a machine that fails does."""

    stateless = True

    def __init__(self, step):
        super().__init__()
        self._step = step

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 >= self._step:
            os.kill(os.getpid(), signal.SIGKILL)


def own_parts(feed, workers, worker):
    """A worker's parts of the global batches: the feed was cut for `workers` replicas, one a worker."""
    return Feed(dataset=feed.dataset.shard(workers, worker), examples=feed.examples, batch_size=feed.batch_size)


def main(job):
    options = HardwareOptions(precision=job["precision"], **job["hardware"])
    machine = hardware.prepare(options)
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
    start = folder.load_newest() if folder else None
    training = task.training(24, machine.workers)
    skipped = (start.step if start else 0) * machine.workers
    training = Feed(dataset=training.dataset.skip(skipped), examples=training.examples, batch_size=24)
    feeds = [
        own_parts(feed, machine.workers, machine.worker) for feed in (training, task.evaluation(24, machine.workers))
    ]
    try:
        history = trainer.fit(
            *feeds,
            epochs=job["epochs"],
            steps_per_call=job.get("steps_per_call", 4),
            callbacks=[Dying(job["die_at"])] if "die_at" in job else [],
            keeper=Keeper(folder)
            if folder and (machine.worker == 0 or "die_at" in job or job.get("survives"))
            else None,
            start=start,
        )
    except PeerLost as error:
        print(error, file=sys.stderr)
        os._exit(3)
    weights = {f"{i:03d}": v.numpy() for i, v in enumerate(model.variables)}
    np.savez(job["out"], loss=history.history["loss"], val_loss=history.history["val_loss"], **weights)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
