import numpy as np
import pytest

from base.errors import InputError
from pipelines.augment.policy import Policy
from pipelines.augment.steps import RandomResizedCrop
from pipelines.images.input_options import InputSpec
from pipelines.reading.parts import Parts

SPEC = InputSpec(image_size=6, channels=3, fit="stretch")
CROP = Policy(steps=(RandomResizedCrop(),))
EXAMPLES = 43
STREAM = {"cache": "none", "shuffle_window": 11, "interleave": 3}
READERS = ({"cache": "memory"}, STREAM)


def column(dataset, count):
    batches = [{name: value.numpy() for name, value in batch.items()} for batch in dataset.take(count)]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def assert_same(one, other):
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize("options", READERS)
def test_every_example_comes_once_an_epoch_in_an_order_of_its_own(folder, open_split, options):
    reader = open_split(folder, SPEC, **options).reader
    batches = column(reader.training_batches(Parts(batch_size=4), seed=3), 33)
    epochs = batches["index"][: 3 * EXAMPLES].reshape(3, EXAMPLES)
    assert (np.sort(epochs, axis=1) == np.arange(EXAMPLES)).all()
    assert (epochs[0] != epochs[1]).any() and (epochs[1] != epochs[2]).any()
    np.testing.assert_array_equal(batches["epoch"], np.arange(132) // EXAMPLES)
    types = {name: value.dtype for name, value in batches.items()}
    assert types == {"image": "uint8", "label": "int32", "index": "int64", "epoch": "int64", "weight": "float32"}
    other = column(reader.training_batches(Parts(batch_size=4), seed=4), 33)
    assert (other["index"] != batches["index"]).any()


def test_frames_that_several_trainings_have_in_common_are_the_same_and_read_once(folder, open_split, tmp_path):
    def batches(**options):
        opened = open_split(folder, options.pop("spec", SPEC), cache="memory", **options)
        return column(opened.reader.training_batches(Parts(batch_size=4), seed=3), 20)

    common = {"hold_in": str(tmp_path / "held")}
    alone = batches()
    assert_same(alone, batches(**common))
    assert_same(alone, batches(**common))
    (file,) = (tmp_path / "held").glob("*.frames")
    batches(**common, spec=InputSpec(image_size=6, channels=3, fit="pad"))
    assert len(list((tmp_path / "held").glob("*.frames"))) == 2  # other frames are another file's
    file.write_bytes(bytes(file.stat().st_size))
    assert batches(**common)["image"].max() == 0  # nothing was decoded
    shard = next(folder.glob("*.tfrecord*"))
    shard.touch()
    assert_same(alone, batches(**common))  # of shards that were written since, anew
    assert f"in host memory, held in {tmp_path}/held" in open_split(folder, SPEC, cache="memory", **common).text
    not_there = open_split(folder, SPEC, cache="memory", hold_in=str(file))
    assert f"in host memory, not held in {file}: File exists" in not_there.text
    assert_same(alone, column(not_there.reader.training_batches(Parts(batch_size=4), seed=3), 20))


@pytest.mark.parametrize("policy", [None, CROP])
@pytest.mark.parametrize("options", READERS)
def test_a_run_resumed_at_a_step_gets_the_batches_of_one_that_was_never_stopped(folder, open_split, options, policy):
    reader = open_split(folder, SPEC, policy=policy, **options).reader
    whole = column(reader.training_batches(Parts(batch_size=4), seed=3), 25)
    for step in (7, 24):  # within the first epoch, and the third
        resumed = column(reader.training_batches(Parts(batch_size=4), seed=3, start_step=step), 25 - step)
        assert_same({name: value[4 * step :] for name, value in whole.items()}, resumed)


@pytest.mark.parametrize(("replicas", "workers"), [(2, 1), (4, 2)])
@pytest.mark.parametrize("options", READERS)
def test_workers_and_replicas_share_each_batch_without_loss_or_repeats(folder, open_split, options, replicas, workers):
    reader = open_split(folder, SPEC, **options).reader
    cuts = [Parts(batch_size=8, replicas=replicas, workers=workers, worker=worker) for worker in range(workers)]

    def assert_shared(batches):
        whole = column(batches(Parts(batch_size=8)), 6)
        parts = [column(batches(cut), 6 * replicas // workers) for cut in cuts]
        for name in whole:
            joined = np.concatenate([np.split(part[name], 6) for part in parts], axis=1)
            np.testing.assert_array_equal(joined.reshape(whole[name].shape), whole[name], err_msg=name)

    assert_shared(reader.evaluation_batches)
    assert_shared(lambda parts: reader.training_batches(parts, seed=3, start_step=3))


@pytest.mark.parametrize("policy", [None, CROP])
def test_an_example_of_an_epoch_is_the_same_held_and_streamed(folder, open_split, policy):
    seen = []
    for options in READERS:
        reader = open_split(folder, SPEC, policy=policy, **options).reader
        batches = column(reader.training_batches(Parts(batch_size=EXAMPLES), seed=3), 2)
        order = np.lexsort([batches["index"], batches["epoch"]])
        seen.append({name: value[order] for name, value in batches.items()})
    assert_same(*seen)
    differs = (seen[0]["image"][:EXAMPLES] != seen[0]["image"][EXAMPLES:]).any(axis=(1, 2, 3))
    assert differs.sum() > 40 if policy else not differs.any()  # what is held is never augmented


def test_evaluation_is_the_same_held_and_streamed_each_example_once_in_order(folder, open_split):
    held, streamed = (
        column(open_split(folder, SPEC, **options).reader.evaluation_batches(Parts(batch_size=8, replicas=2)), 99)
        for options in READERS
    )
    assert_same(held, streamed)
    assert held["index"][held["weight"] > 0].tolist() == list(range(EXAMPLES)) and len(held["index"]) == 48


def test_a_streamed_record_moves_about_as_far_as_its_window_and_its_shard(folder, open_split):
    def order(**options):
        reader = open_split(folder, SPEC, cache="none", **options).reader
        return column(reader.training_batches(Parts(batch_size=EXAMPLES), seed=3), 2)["index"].reshape(2, -1)

    in_shards = order(shuffle_window=1, interleave=1)  # as the shards have it, shard after shard
    assert (np.diff(in_shards[0]) == 1).sum() == EXAMPLES - 1 - (np.diff(in_shards[0]) != 1).sum()
    assert (np.diff(in_shards[0]) == 1).mean() > 0.6 and (in_shards[0] != in_shards[1]).any()
    shuffled = order(shuffle_window=11, interleave=3)
    assert (np.diff(shuffled[0]) == 1).mean() < 0.2
    assert abs(np.corrcoef(order(shuffle_window=EXAMPLES)[0], np.arange(EXAMPLES))[0, 1]) < 0.5


def test_the_order_of_a_stream_ignores_threads_buffers_and_the_global_seed(folder, open_split):
    import tensorflow as tf

    def order(**options):
        reader = open_split(folder, SPEC, **STREAM, **options).reader
        return column(reader.training_batches(Parts(batch_size=4), seed=3), 15)

    one = order(decode_threads=1, prefetch=1)
    tf.random.set_seed(5)
    assert_same(one, order(decode_threads=8, prefetch=3))


def test_balanced_batches_hold_all_classes_alike_and_each_class_runs_through_its_examples(folder, open_split):
    reader = open_split(folder, SPEC, balanced=True).reader
    batches = column(reader.training_batches(Parts(batch_size=4), seed=3, balanced=True), 60)
    pairs = batches["label"].reshape(-1, 2)
    assert (np.sort(pairs, axis=1) == [0, 1]).all() and 20 < pairs[:, 0].sum() < 100
    for label, size in enumerate(np.bincount(column(reader.evaluation_batches(Parts(batch_size=43)), 1)["label"])):
        index, epoch = (batches[name][batches["label"] == label] for name in ("index", "epoch"))
        np.testing.assert_array_equal(epoch, np.arange(120) // size)
        passes = index[: 120 // size * size].reshape(-1, size)
        assert (np.sort(passes, axis=1) == np.sort(passes[0])).all() and len(set(passes[0])) == size
        assert (passes[0] != passes[1]).any()
    resumed = reader.training_batches(Parts(batch_size=4), seed=3, balanced=True, start_step=41)
    assert_same({name: value[4 * 41 :] for name, value in batches.items()}, column(resumed, 19))


def test_the_budget_decides_and_what_is_said_is_what_is_done(folder, open_split):
    spec = InputSpec(image_size=128, channels=3, fit="stretch")
    frames = EXAMPLES * 128 * 128 * 3
    assert open_split(folder, spec, memory_budget="20MB").is_resident
    assert not open_split(folder, spec, memory_budget=frames).is_resident
    with pytest.raises(InputError, match="--memory-budget"):
        open_split(folder, spec, memory_budget=frames, cache="memory")
    with pytest.raises(InputError, match="balanced"):
        open_split(folder, spec, memory_budget=frames, balanced=True)
    with pytest.raises(InputError, match="for one batch"):
        open_split(folder, spec, memory_budget=200_000)
    streamed = open_split(folder, spec, cache="none")
    assert streamed.reader.window == EXAMPLES and "allows no more" not in streamed.text
    tight = open_split(folder, SPEC, cache="none", memory_budget=80_000, shuffle_window=40)
    assert tight.memory <= 80_000 and 10 < tight.reader.window < 40
    assert "of 40: the memory budget allows no more" in tight.text
