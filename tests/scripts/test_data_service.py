"""`scripts/data_service.py` as it is run: a dispatcher and two workers, processes of their own, on loopback."""

import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from base.errors import InputError
from models.cnn import build_cnn
from models.cnn_options import CNNOptions
from models.heads import Head
from models.training import hardware
from models.training.compiling import compile_model
from models.training.optimizers import build_optimizer
from models.training.options import HardwareOptions, OptimizerOptions
from models.training.trainer import Trainer
from pipelines.images.input_options import InputSpec
from pipelines.manifest import read_manifest
from pipelines.reading.options import ReaderOptions
from pipelines.reading.parts import Parts
from pipelines.service import servers as service_servers
from scripts import build_tfrecords, data_service, train
from scripts.training.feeds import Data
from scripts.training.lost_batches import LostBatches
from scripts.training.served_feeds import ServedData
from tests.scripts.conftest import SMALL, write_photos

ROOT = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, "-m", "scripts.data_service"]
SPEC = InputSpec(image_size=16, channels=3, fit="stretch")
PARTS = Parts(batch_size=4, replicas=2)


def free_port():
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


def start(*arguments):
    return subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.fixture(scope="module")
def service():
    """The address of a dispatcher, its process, and those of two workers."""
    address = f"grpc://127.0.0.1:{free_port()}"
    dispatcher = start("dispatcher", "--port", address.rpartition(":")[2])
    workers = [start("worker", "--dispatcher", address) for _ in range(2)]  # they wait for it
    processes = [dispatcher, *workers]
    try:
        assert dispatcher.stdout.readline() == f"dispatcher: {address}\n"
        for worker in workers:
            assert worker.stdout.readline().startswith("worker: 127.0.0.1:")
        yield address, dispatcher, workers
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    write_photos(folder / "source", count=56)
    arguments = [str(folder / "source"), "--out", str(folder / "data"), "--hold-out", "0"]
    assert build_tfrecords.main(arguments) == 0
    return folder / "data"


def opened(folder, address, **options):
    arguments = folder, read_manifest(folder), SPEC, PARTS, ReaderOptions(**options)
    return ServedData(*arguments, service=address) if address else Data(*arguments)


class Kill(keras.callbacks.Callback):
    def __init__(self, process, step):
        super().__init__()
        self.process, self.step = process, step

    def on_train_batch_end(self, batch, logs=None):
        if batch >= self.step:
            self.process.kill()


@pytest.mark.slow
def test_batches_are_augmented_on_the_workers_where_the_host_is_to_do_it(service, folder):
    data = opened(folder, service[0])

    def double(batch):
        return {**batch, "image": tf.cast(batch["image"], tf.float32) * 2}

    plain = next(iter(opened(folder, None).training("train").dataset))
    for batch in data.training("train", augmentation=double).dataset:
        if batch["step"][0] == 0:
            break
    assert batch["image"].dtype == tf.float32 and set(batch) == {*plain, "step"}
    np.testing.assert_array_equal(batch["image"], plain["image"].numpy() * 2.0)


@pytest.mark.slow
def test_train_takes_its_batches_from_the_service_and_says_what_that_means(service, folder, tmp_path, capsys):
    argv = ["--data", str(folder), "--run", str(tmp_path / "run"), *SMALL, "--epochs", "2", "--augment", "light"]
    for place in ("host", "device"):
        argv += ["--data-service", service[0], "--augment-on", place, "--overwrite"]
        assert train.main(argv) == 0
        said = capsys.readouterr().out
        assert "exact resume is off" in said and "read by 2 workers" in said and "epoch 2/2" in said
    assert train.main([*argv, "--data-service", "here:1"]) == 2
    assert "grpc://host:port" in capsys.readouterr().err


@pytest.mark.slow
def test_what_a_worker_can_not_read_is_said_in_a_line(service, folder, tmp_path):
    def error_of(data):
        with pytest.raises(InputError) as caught, data.reading(training=True):
            batches = iter(data.training("train").dataset)
            if data is gone:
                next(batches)
                shard.unlink()
            for _ in range(300):
                next(batches)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
        return str(caught.value)

    copy = shutil.copytree(folder, tmp_path / "data")
    shard = next(copy.glob("*train.tfrecord*"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    gone = None
    assert f"{shard.name}" in (error := error_of(opened(copy, service[0]))) and "record " in error
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    gone = opened(copy, service[0])
    assert str(shard) in (error := error_of(gone)) and "the data service's workers to read" in error


def test_mistakes_are_said_in_a_line(folder, capsys):
    def error(*arguments):
        assert data_service.main(list(arguments)) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert "Address already in use" in error("dispatcher", "--port", port)
        assert "Address already in use" in error("worker", "--dispatcher", "grpc://127.0.0.1:1", "--port", port)
    assert "--dispatcher grpc://host:port" in error("worker")
    assert "grpc://host:port" in error("worker", "--dispatcher", "here:5050")
    assert "for a worker alone" in error("dispatcher", "--dispatcher", "grpc://a:1")
    assert "--host" in error("dispatcher", "--host", "0.0.0.0")
    assert "--host" in error("dispatcher", "--host", "a:5050")
    assert "--wait" in error("worker", "--dispatcher", "grpc://a:1", "--wait", "0")
    assert "dispatcher" in error("dispatch")
    assert "answers within 1 s" in error("worker", "--dispatcher", "grpc://127.0.0.1:1", "--wait", "1")
    with pytest.raises(InputError, match="--sampling natural"):
        opened(folder, "grpc://127.0.0.1:1", sampling="balanced")


@pytest.mark.slow
def test_a_worker_ends_when_its_dispatcher_has(capsys):
    place = service_servers.Place(host="127.0.0.1", port=free_port())
    dispatcher = service_servers.start_dispatcher(place)
    threading.Timer(3, dispatcher.stop).start()
    assert data_service.main(["worker", "--dispatcher", f"grpc://{place.address}", "--wait", "1"]) == 2
    out, err = capsys.readouterr()
    assert out.startswith("worker: 127.0.0.1:")
    assert err.startswith("error: ") and f"answers within 1 s at grpc://{place.address}" in err.splitlines()[-1]


_WAITING = """
import sys, threading
from pathlib import Path
from pipelines.service.servers import Place, start_dispatcher, start_worker
from scripts.training import served_feeds
from tests.scripts.test_data_service import free_port, opened
place = Place(host="127.0.0.1", port=free_port())
dispatcher, address = start_dispatcher(place), f"grpc://{place.address}"
worker = start_worker(Place(host="127.0.0.1", port=free_port()), address)
served_feeds._PATIENCE = 1.0
data = opened(Path(sys.argv[1]), address)
batches = iter(data.training("train").dataset)
threading.Timer(1, dispatcher.stop).start()
with data.reading(training=True):
    while True:
        next(batches)
"""


@pytest.mark.slow
def test_a_training_does_not_wait_for_ever_for_a_dispatcher_that_is_gone(folder):
    command = [sys.executable, "-c", _WAITING, str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert ended.returncode == 2, ended.stderr
    assert re.fullmatch(r"error: Expected a dispatcher .* answers within 1 s at grpc://\S+ .*\n", ended.stdout)


def test_training_goes_on_without_a_killed_worker_and_says_what_was_lost(service, folder):
    """The last one: it ends the servers."""
    address, dispatcher, (killed, left) = service
    machine = hardware.prepare(HardwareOptions(strategy="mirrored", replicas=2, precision="float32", xla="off"))
    data, head = opened(folder, address), Head("softmax", "cross_entropy", 3)
    with machine.strategy.scope():
        model = build_cnn(CNNOptions(blocks=2, filters=4, dense_units=8), SPEC.shape, head)
        compile_model(model, head, build_optimizer(OptimizerOptions(learning_rate=0.003)))
    feed, said = data.training("train"), []
    lost = LostBatches(data.arrivals, said.append)
    callbacks = [Kill(killed, 60), lost]
    history = Trainer(model, head=head, hardware=machine).fit(feed, epochs=8, steps_per_call=10, callbacks=callbacks)
    assert feed.steps == 38 and killed.wait(10) == -signal.SIGKILL
    assert len(history.history["loss"]) == 8 and history.history["accuracy"][-1] > 0.9
    arrivals = data.arrivals()
    assert lost.lost == arrivals.lost(at_the_end=True) > 0
    # What did not come is what the worker had taken: those that are decoded side by side, and those that wait.
    assert lost.lost < 30 and arrivals.expected >= 8 * 38 + lost.lost
    assert re.fullmatch(rf"data service: {lost.lost} of \d+ batches were lost with a worker", said[-1])
    described = data.describe()
    assert "exact resume is off" in described["data service"] and address in described["data service"]
    assert described["data"] == "train: read by 2 workers of the data service"

    left.send_signal(signal.SIGTERM)
    dispatcher.send_signal(signal.SIGINT)
    assert left.wait(20) == 143 and left.stderr.read() == "terminated\n"
    assert dispatcher.wait(20) == 130 and dispatcher.stderr.read() == "interrupted\n"
