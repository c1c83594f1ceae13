import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from base.errors import InputError
from pipelines.conversion import shards
from pipelines.features.files import Vectors
from pipelines.features.store import FeatureStore
from pipelines.features.writer import Rows
from pipelines.manifest import Manifest, Split
from pipelines.reading import reader
from pipelines.reading.budget import Budget
from pipelines.reading.options import ReaderOptions
from pipelines.reading.parts import Parts

EXAMPLES, LENGTH = 43, 5
LABELS = (np.arange(EXAMPLES) % 3 == 0).astype(np.int32)


def manifest(fingerprint="a"):
    split = Split(examples=EXAMPLES, examples_per_class=tuple(np.bincount(LABELS).tolist()), shards=())
    return Manifest(
        classes=("cats", fingerprint),
        channels=3,
        image_shape=None,
        encoding="keep",
        oriented=0,
        found=EXAMPLES,
        skipped=0,
        left_out=0,
        splits={"train": split},
        made_by={},
        files=(),
    )


def values(dtype=tf.float32):
    return np.random.default_rng(0).normal(size=(EXAMPLES, LENGTH)).astype(dtype.as_numpy_dtype)


def computed(dtype=tf.float32):
    for start in range(0, EXAMPLES, 8):
        rows = slice(start, min(start + 8, EXAMPLES))
        yield Rows(values(dtype)[rows], LABELS[rows], np.arange(EXAMPLES)[rows])


def unexpected():
    raise AssertionError("computed again")


def store_in(folder, dtype=tf.float32, data="a", **made_of):
    vectors = Vectors(length=LENGTH, dtype=dtype)
    made_of = {"weights": "w", "image_size": 8, **made_of}
    return FeatureStore(data=folder / "data", manifest=manifest(data), vectors=vectors, made_of=made_of)


def read(files, vectors, **options):
    parts = Parts(batch_size=EXAMPLES)
    opened = reader.open_split(
        files, frames=vectors, parts=parts, options=ReaderOptions(**options), budget=Budget("10MB")
    )
    return next(iter(opened.reader.evaluation_batches(parts)))


@pytest.mark.parametrize("dtype", [tf.float32, tf.float16, tf.bfloat16, tf.float64])
@pytest.mark.parametrize("cache", ["memory", "none"])
def test_what_is_read_is_what_was_computed_to_the_last_bit(tmp_path, monkeypatch, dtype, cache):
    monkeypatch.setattr(shards, "SHARD_BYTES", 1000)
    store = store_in(tmp_path, dtype)
    files = store.files("train", lambda: computed(dtype))
    assert len(files.paths) > 2 and store.folder.parent == tmp_path / "data.features"
    batch = read(files, store.vectors, cache=cache)
    assert batch["image"].dtype == dtype and batch["image"].numpy().tobytes() == values(dtype).tobytes()
    np.testing.assert_array_equal(batch["label"], LABELS)
    assert store.files("train", unexpected).paths == files.paths
    assert sorted(path.name for path in store.folder.iterdir()) == ["train"]


def test_whatever_they_follow_from_has_a_say_in_their_key(tmp_path):
    keys = {
        store_in(tmp_path).key,
        store_in(tmp_path, weights="v").key,
        store_in(tmp_path, image_size=9).key,
        store_in(tmp_path, data="b").key,
        store_in(tmp_path, tf.float16).key,
    }
    assert len(keys) == 5 and store_in(tmp_path / "elsewhere").key in keys


def damage(folder, how):
    shard = folder / "features.tfrecord-00000-of-00001"
    content = bytearray(shard.read_bytes())
    record = len(content) // EXAMPLES
    if how == "truncated":
        content = content[: 7 * record + 20]
    elif how == "a bit":
        content[5 * record + 40] ^= 1
    elif how == "index cut":
        (folder / "features.json").write_text("{")
    elif how == "of other weights":
        index = json.loads((folder / "features.json").read_text())
        index["of"]["weights"] = "other"
        (folder / "features.json").write_text(json.dumps(index))
    shard.write_bytes(content)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("truncated", "features.tfrecord-00000-of-00001 of"),
        ("a bit", "record=5, error='corrupted record"),
        ("index cut", "Expected readable features"),
        ("of other weights", "'weights': 'other'"),
    ],
)
def test_features_that_are_not_what_they_were_are_computed_anew_with_a_word(tmp_path, how, why):
    store = store_in(tmp_path)
    store.files("train", computed)
    damage(store.folder / "train", how)
    said = []
    files = store.files("train", computed, said.append)
    assert len(said) == 1 and "computed anew" in said[0] and why in said[0]
    np.testing.assert_array_equal(read(files, store.vectors)["image"], values())
    store.files("train", unexpected)


def test_a_shard_that_breaks_while_it_is_read_is_named_with_its_record(tmp_path):
    store = store_in(tmp_path)
    files = store.files("train", computed)
    assert files.culprit(store.vectors) is None
    damage(store.folder / "train", "truncated")
    assert "00000-of-00001', record=7" in str(files.culprit(store.vectors))


KILLED = """
import sys, time
from pathlib import Path
from tests.pipelines.features.test_store import computed, store_in

def slow():
    for place, rows in enumerate(computed()):
        if place == 3:
            print("in the middle", flush=True)
            time.sleep(60)
        yield rows

store_in(Path(sys.argv[1])).files("train", slow)
"""


def test_a_computation_that_was_killed_leaves_nothing_that_is_taken_for_whole(tmp_path):
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, cwd=root, env=environment
    )
    assert process.stdout.readline() == b"in the middle\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    store = store_in(tmp_path)
    assert sorted(path.name for path in store.folder.iterdir()) == [".train.lock", ".train.partial"]
    files = store.files("train", computed)
    np.testing.assert_array_equal(read(files, store.vectors)["image"], values())
    assert sorted(path.name for path in store.folder.iterdir()) == ["train"]


def test_who_comes_while_features_are_computed_waits_and_takes_them(tmp_path):
    going_on, said = threading.Event(), []

    def slow():
        going_on.set()
        deadline = time.monotonic() + 20
        while not said and time.monotonic() < deadline:
            time.sleep(0.01)
        yield from computed()

    first = threading.Thread(target=lambda: store_in(tmp_path).files("train", slow))
    first.start()
    going_on.wait()
    store = store_in(tmp_path)
    files = store.files("train", unexpected, said.append)
    first.join()
    assert "waiting for another process" in said[0]
    np.testing.assert_array_equal(read(files, store.vectors)["image"], values())


def test_an_error_in_the_middle_leaves_nothing(tmp_path):
    def broken():
        yield next(computed())
        raise InputError("no more")

    store = store_in(tmp_path)
    with pytest.raises(InputError, match="no more"):
        store.files("train", broken)
    assert list(store.folder.iterdir()) == []
    with pytest.raises(RuntimeError, match="features of 8 examples"):
        store.files("train", lambda: [next(computed())])
    assert list(store.folder.iterdir()) == []


def test_features_that_are_no_numbers_are_refused_by_index(tmp_path):
    rows = next(computed())
    rows.features[3, 1] = np.inf
    with pytest.raises(InputError, match=r"finite features.*index=\[3\]"):
        store_in(tmp_path).files("train", lambda: [rows])


def test_a_folder_that_can_not_be_written_is_the_users_to_mend(tmp_path):
    (tmp_path / "data.features").write_text("in the way")
    with pytest.raises(InputError, match="able to write features to .*data.features"):
        store_in(tmp_path).files("train", computed)


def test_features_are_sampled_and_fitted_into_the_budget_as_images_are(tmp_path):
    files = store_in(tmp_path).files("train", computed)
    vectors, parts = Vectors(length=LENGTH, dtype=tf.float32), Parts(batch_size=4)

    def opened(budget, **options):
        balanced = options.get("sampling") == "balanced"
        how = {"frames": vectors, "parts": parts, "options": ReaderOptions(**options), "balanced": balanced}
        return reader.open_split(files, budget=Budget(budget), **how)

    assert opened("1MB").is_resident and not opened(1500).is_resident
    batches = opened("1MB", sampling="balanced").reader.training_batches(parts, seed=0, balanced=True)
    labels = np.concatenate([batch["label"] for batch in batches.take(9)])
    assert np.bincount(labels).tolist() == [18, 18]
