import numpy as np
import pytest
import tensorflow as tf

from models.cnn import build_cnn
from models.cnn_options import CNNOptions
from models.heads import Head
from models.training import hardware
from models.training.compiling import compile_model
from models.training.feed import Feed
from models.training.loss_options import LossOptions
from models.training.normalization import synchronize
from models.training.objective import Objective
from models.training.optimizers import build_optimizer
from models.training.options import HardwareOptions, OptimizerOptions
from models.training.step import StepOptions
from models.training.trainer import Trainer

CLASSES, SIZE = 4, 8


class Task:
    """A small, learnable task: the class is the bright quadrant."""

    def __init__(self, examples: int = 150, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.label = rng.integers(0, CLASSES, examples).astype(np.int32)
        self.image = rng.integers(0, 120, (examples, SIZE, SIZE, 1)).astype(np.uint8)
        for image, label in zip(self.image, self.label, strict=True):
            row, column = 4 * (label // 2), 4 * (label % 2)
            image[row : row + 4, column : column + 4] += 100

    def _feed(self, index: np.ndarray, weight: np.ndarray, batch_size: int, replicas: int, examples: int) -> Feed:
        columns = {
            "image": self.image[index],
            "label": self.label[index],
            "index": index.astype(np.int64),
            "epoch": np.zeros(len(index), np.int64),
            "weight": weight.astype(np.float32),
        }
        dataset = tf.data.Dataset.from_tensor_slices(columns).batch(batch_size // replicas, drop_remainder=True)
        return Feed(dataset=dataset, examples=examples, batch_size=batch_size)

    def training(self, batch_size: int, replicas: int) -> Feed:
        order = np.concatenate([np.random.default_rng(e).permutation(len(self.label)) for e in range(30)])
        order = order[: len(order) // batch_size * batch_size]
        return self._feed(order, np.ones(len(order)), batch_size, replicas, len(self.label))

    def evaluation(self, batch_size: int, replicas: int) -> Feed:
        count = len(self.label)
        padded = -(-count // batch_size) * batch_size
        index = np.where(np.arange(padded) < count, np.arange(padded), 0)
        return self._feed(index, np.arange(padded) < count, batch_size, replicas, count)


@pytest.fixture
def task():
    return Task()


@pytest.fixture
def make_trainer():
    """Trainer of a small CNN on 1 or 2 replicas; the same seed gives the same weights."""

    def make(
        replicas=1,
        *,
        precision="float32",
        xla="off",
        optimizer=None,
        head=None,
        seed=1,
        loss=None,
        class_weights=None,
        step=None,
        sync_batch_norm=False,
        **cnn,
    ) -> Trainer:
        options = HardwareOptions(
            strategy="mirrored" if replicas > 1 else "single",
            replicas=replicas,
            precision=precision,
            xla=xla,
            sync_batch_norm=sync_batch_norm,
        )
        machine = hardware.prepare(options)
        cnn = CNNOptions(**{"blocks": 2, "filters": 4, "dense_units": 16, **cnn})
        head = head or Head("softmax", "cross_entropy", CLASSES)
        tf.keras.utils.set_random_seed(seed)
        with machine.strategy.scope():
            model = build_cnn(cnn, (SIZE, SIZE, 1), head)
            if machine.synchronized:
                synchronize(model)
            compile_model(model, head, build_optimizer(OptimizerOptions(**(optimizer or {}))))
        objective = Objective(head, LossOptions(**(loss or {})), class_weights)
        return Trainer(model, head=head, hardware=machine, objective=objective, step=StepOptions(**(step or {})))

    return make
