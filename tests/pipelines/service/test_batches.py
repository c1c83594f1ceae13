"""A dispatcher and two workers in this process; as processes of their own see tests/scripts/test_data_service.py."""

import contextlib
import socket
from pathlib import Path

import numpy as np
import pytest

from base.errors import InputError
from pipelines.augment.policy import Policy
from pipelines.augment.steps import Flip, RandomResizedCrop
from pipelines.images.input_options import InputSpec
from pipelines.manifest import read_manifest
from pipelines.reading.parts import Parts
from pipelines.reading.split_files import SplitFiles
from pipelines.service.options import DataServiceOptions

SPEC = InputSpec(image_size=6, channels=3, fit="stretch")
CROP = Policy(steps=(RandomResizedCrop(), Flip()))
EXAMPLES = 43


def free_port():
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def service():
    """The address of a dispatcher with two workers."""
    from pipelines.service.dispatcher import require_workers, workers_of
    from pipelines.service.servers import Place, start_dispatcher, start_worker

    place = Place(host="127.0.0.1", port=free_port())
    dispatcher, address = start_dispatcher(place), f"grpc://{place.address}"
    with pytest.raises(InputError, match="to have a worker within 0.2 s"):
        require_workers(address, 0.2)
    workers = [start_worker(Place(host="127.0.0.1", port=free_port()), address) for _ in range(2)]
    assert len(require_workers(address, 5)) == len(workers_of(address, 5)) == 2
    yield address
    for server in (*workers, dispatcher):
        server.stop()


def served(folder, address, policy=None, seed=3):
    from pipelines.augment.augmentation import host_crop
    from pipelines.images import frames
    from pipelines.service.batches import Served

    manifest = read_manifest(folder)
    files = SplitFiles(folder=folder, manifest=manifest, name="train")
    how = frames.training_frames(manifest, SPEC, policy, host_crop(policy, seed))
    return Served(files=files, frames=how, address=address)


def taken(dataset, steps, own=1):
    """Step -> its parts, joined, until so many are complete."""
    parts, iterator = {}, dataset.as_numpy_iterator()
    while sum(len(found) == own for found in parts.values()) < steps:
        batch = next(iterator)
        assert (batch["step"] == batch["step"][0]).all()
        parts.setdefault(int(batch["step"][0]), []).append(batch)
    whole = {step: found for step, found in parts.items() if len(found) == own}
    return {
        step: {name: np.concatenate([p[name] for p in found]) for name in found[0]} for step, found in whole.items()
    }


def augmentation():
    import tensorflow as tf

    from pipelines.augment.augmentation import Augmentation

    augment = Augmentation(CROP, seed=3, image_size=(6, 6), classes=2, cropped=True)
    return tf.function(augment, jit_compile=True, autograph=False)


@pytest.mark.parametrize("policy", [None, CROP])
def test_the_batch_of_a_step_is_that_of_a_split_held_in_memory(service, folder, open_split, policy):
    parts, start = Parts(batch_size=8, replicas=2), 7
    augment = augmentation() if policy else None
    dataset, ticker = served(folder, service, policy).training_batches(parts, seed=3, start_step=start, augment=augment)
    came = taken(dataset, 33, own=2)
    held = open_split(folder, SPEC, policy=policy).reader
    held = held.training_batches(Parts(batch_size=8), seed=3, start_step=start)
    held = held.map(augment) if augment else held
    compared = 0
    for step, batch in zip(range(start, max(came) + 1), held.as_numpy_iterator(), strict=False):
        if step in came:
            assert (came[step].pop("step") == step).all()
            for name in batch:
                np.testing.assert_array_equal(came[step][name], batch[name], err_msg=name)
            compared += 1
    assert compared == len(came)
    arrivals = ticker.arrivals()
    assert len(came) <= arrivals.expected <= len(came) + 40 and arrivals.lost() == 0


def test_each_example_comes_once_an_epoch_over_all_training_processes(service, folder):
    """Two of them, of two replicas each, at one dispatcher: each takes its own half of every step."""
    index = []
    for worker in range(2):
        parts = Parts(batch_size=8, replicas=4, workers=2, worker=worker)
        came = taken(served(folder, service).training_batches(parts, seed=3)[0], 60, own=2)
        index.append(np.stack([came[step]["index"] for step in range(43)]))  # eight epochs
    assert index[0].shape == (43, 4)
    epochs = np.sort(np.concatenate(index, axis=1).reshape(8, EXAMPLES), axis=1)
    assert (epochs == np.arange(EXAMPLES)).all()


def test_records_are_read_where_they_lie(folder):
    from pipelines.service.batches import record_offsets

    files = served(folder, "grpc://127.0.0.1:1").files
    offsets, place = record_offsets(files), 0
    for shard, path in zip(files.split.shards, files.paths, strict=True):
        data = Path(path).read_bytes()
        own = offsets[place : place + shard.examples].tolist()
        assert [int.from_bytes(data[at : at + 8], "little") + 16 for at in own] == np.diff([*own, len(data)]).tolist()
        place += shard.examples
    assert len(files.paths) > 3 and place == EXAMPLES


def test_a_server_on_loopback_is_reached_from_this_machine_alone(service):
    port = int(service.rpartition(":")[2])
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=5)):
        pass
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: only asks which address would be used
        own = probe.getsockname()[0]
    with pytest.raises(OSError):
        socket.create_connection((own, port), timeout=5)


def test_a_dispatcher_that_is_none_or_does_not_answer_is_said_in_time():
    from pipelines.service.dispatcher import workers_of

    with pytest.raises(InputError, match="answers within 1 s at grpc://127.0.0.1:1"):
        workers_of("grpc://127.0.0.1:1", 1)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        with pytest.raises(InputError, match="answers within 1 s"):
            workers_of(f"grpc://127.0.0.1:{mute.getsockname()[1]}", 1)


@pytest.mark.parametrize("address", ["127.0.0.1:5050", "http://a:5050", "grpc://a", "grpc://a:0", "grpc://a:70000", ""])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(InputError, match=r"--data-service as grpc://host:port.*data_service="):
        DataServiceOptions(data_service=address)
