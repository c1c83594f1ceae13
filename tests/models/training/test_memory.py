"""Batches beyond the memory: a process under a limit of its address space says what would fit."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from base.errors import InputError
from models.training.feed import Feed
from models.training.memory import explained

ROOT = Path(__file__).parent.parent.parent.parent

# Every example is blown up to 4 MB: 512 of them take 2 GB, where 0.5 GB are left.
PROGRAM = """
import resource, sys
import keras
import numpy as np
import tensorflow as tf
from models.heads import Head
from models.training import hardware
from models.training.feed import Feed
from models.training.options import HardwareOptions
from models.training.step import StepOptions
from models.training.compiling import compile_model
from models.training.trainer import Trainer

replicas, batch_size = int(sys.argv[1]), int(sys.argv[2])
strategy = "mirrored" if replicas > 1 else "single"
machine = hardware.prepare(HardwareOptions(strategy=strategy, replicas=replicas, xla="off"))
head = Head("softmax", "cross_entropy", 2)


class Blown(keras.layers.Layer):
    def call(self, x):
        return keras.ops.mean(keras.ops.tile(x, (1, 1 << 18)), axis=1, keepdims=True) + x


def feed(batch_size):
    size = batch_size // replicas
    image, label = tf.zeros([size, 2, 2, 1], tf.uint8), tf.zeros([size], tf.int32)
    index = tf.zeros([size], tf.int64)
    batch = {"image": image, "label": label, "index": index, "epoch": index, "weight": tf.ones([size])}
    return Feed(dataset=tf.data.Dataset.from_tensors(batch).repeat(), examples=batch_size, batch_size=batch_size)


with machine.strategy.scope():
    layers = [keras.layers.Flatten(), Blown(), keras.layers.Dense(2, "softmax")]
    model = keras.Sequential([keras.Input((2, 2, 1)), *layers])
    compile_model(model, head, keras.optimizers.SGD(0.1))
trainer = Trainer(model, head=head, hardware=machine)
trainer.fit(feed(2), epochs=1)
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 500_000_000,) * 2)
before = model.get_weights()
try:
    trainer.fit(feed(batch_size), epochs=1)
except ValueError as error:
    print(error)
else:
    print("it fits")
for a, b in zip(before, model.get_weights()):
    np.testing.assert_array_equal(a, b)
"""


def said(tmp_path, *arguments):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program), *map(str, arguments)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "MALLOC_ARENA_MAX": "2"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "Out of memory at --batch-size 512: trying what fits" in result.stderr
    return result.stdout.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [1, 2])
def test_the_batch_size_that_fits_is_found_by_trying(tmp_path, replicas):
    text = said(tmp_path, replicas, 512)
    assert text.startswith(
        "Expected batches that fit the memory. Received: batch_size=512, error='OOM when allocating tensor with shape["
    )
    size = int(text.split("--batch-size ")[1].split()[0])
    assert size in (16, 32, 64)
    parts = int(text.split("--accumulate ")[1].split(",")[0])
    assert parts in (512 // size, 1024 // size)
    assert text.endswith(
        f"--batch-size {size} was tried and fits; so does --accumulate {parts}, which keeps batches of 512."
    )


@pytest.mark.parametrize(
    ("replicas", "accumulate", "batch_size", "room", "words"),
    [
        (1, 1, 100, 30, "--batch-size 25 was tried and fits; so does --accumulate 4, which keeps batches of 100."),
        (1, 1, 96, 20, "--batch-size 12 was tried and fits; so does --accumulate 8, which keeps"),
        (2, 3, 90, 8, "--batch-size 42 was tried and fits; so does --accumulate 9, which keeps batches of 90"),
        (2, 1, 64, 0, "None that is smaller fits either: --batch-size 2 was tried. Choose a smaller --image-size"),
        (2, 1, 2, 0, r"and type float'\. Choose a smaller --image-size"),
    ],
)
def test_sizes_that_are_tried_can_be_had(replicas, accumulate, batch_size, room, words):
    size = batch_size // replicas
    columns = {"image": tf.zeros([size, 2, 2, 1], tf.uint8), "weight": tf.zeros([size])}
    feed = Feed(dataset=tf.data.Dataset.from_tensors(columns), examples=9, batch_size=batch_size)
    message = "at:\nOOM when allocating tensor with shape[8,9] and type float"
    error = tf.errors.ResourceExhaustedError(None, None, message)

    def run(dataset, parts):
        batch = next(iter(dataset))
        count = len(batch["weight"])
        assert count % parts == 0 and batch["image"].shape == (count, 2, 2, 1) and np.all(batch["weight"] == 1)
        if count // parts > room:
            raise error

    with pytest.raises(InputError, match=words):
        raise explained(error, feed, replicas, accumulate, run)
