"""Smaller images first: through a twin of the model, with the model's own variables."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from base.errors import InputError
from models.cnn import build_cnn
from models.cnn_options import CNNOptions
from models.heads import Head
from models.training.checkpoint import CheckpointFolder, read
from models.training.keeper import Keeper
from models.training.meter import Meter
from models.training.options import CheckpointOptions
from models.training.resizing import build_stages, resized
from models.training.resizing_options import ResizingOptions
from models.training.step import StepOptions
from models.training.trainer import Trainer
from tests.models.training.test_replicas import SGD, difference, weights
from tests.models.training.test_resume import StopAt, everything, fit

SOFTMAX = Head("softmax", "cross_entropy", 4)
POOLED = {"blocks": 2, "filters": 4, "dense_units": 16, "flatten": "average"}


def progressive(make_trainer, replicas, *texts, augment=None, step=None, cnn=None, **arguments):
    """A trainer with stages of a CNN for 8x8 images that pools over all places."""
    chosen = {**POOLED, **(cnn or {})}
    full = make_trainer(replicas, **chosen, **arguments)

    def build(shape):
        return build_cnn(CNNOptions(**chosen), shape, SOFTMAX)

    stages = build_stages(ResizingOptions(progressive_resizing=texts), full.model, (8, 8, 1), full.hardware, build)
    options = StepOptions(**(step or {}))
    return Trainer(full.model, head=SOFTMAX, hardware=full.hardware, augment=augment, step=options, stages=stages)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("old", "new"), [((8, 8), (4, 4)), ((96, 64), (48, 45)), ((7, 13), (5, 1)), ((6, 5), (6, 9))])
def test_images_are_resized_as_tensorflow_resizes_them_antialiased(old, new, compiled):
    images = np.random.default_rng(0).integers(0, 256, (3, *old, 2)).astype(np.uint8)
    expected = tf.image.resize(images, new, antialias=True)
    function = tf.function(lambda x: resized(x, new), jit_compile=compiled)
    np.testing.assert_allclose(function(tf.constant(images)), expected, atol=1e-3)  # theirs has its places in float32
    half = function(tf.cast(images, tf.bfloat16))
    assert half.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(half, tf.float32), expected, rtol=2**-8)


def test_an_epoch_on_smaller_images_is_one_of_a_model_of_that_size_and_evaluation_is_at_full_size(make_trainer, task):
    arguments = {"precision": "float64", "optimizer": {**SGD, "momentum": 0.9}, "cnn": {"batch_norm": True}}
    trainer = progressive(make_trainer, 1, "0.5:2", **arguments)
    initial = trainer.model.get_weights()
    sizes = []
    call = trainer.model.stateless_call
    trainer.model.stateless_call = lambda *a, **k: sizes.append((k["training"], a[2].shape[1:3])) or call(*a, **k)
    history = trainer.fit(task.training(24, 1), task.evaluation(24, 1), epochs=2)
    assert sizes and set(sizes) == {(False, (8, 8))}

    small = build_cnn(CNNOptions(**POOLED, batch_norm=True), (4, 4, 1), SOFTMAX)
    small.set_weights(initial)
    images = tf.image.resize(task.image, (4, 4), antialias=True)
    optimizer, losses = keras.optimizers.SGD(SGD["learning_rate"], momentum=0.9), []
    for batch in task.training(24, 1).dataset.take(13):
        with tf.GradientTape() as tape:
            outputs = small(tf.gather(images, batch["index"]), training=True)
            losses.append(tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(batch["label"], outputs)))
        optimizer.apply(
            tape.gradient(losses[-1], [v.value for v in small.trainable_variables]), small.trainable_variables
        )
    assert difference([v.numpy() for v in small.variables if v.dtype == "float64"], weights(trainer)) < 1e-6
    np.testing.assert_allclose(history.history["loss"], [np.mean(losses[:7]), np.mean(losses[7:])], rtol=1e-5)
    trainer.model.stateless_call = call
    full = progressive(make_trainer, 1, **arguments)
    full.model.set_weights(trainer.model.get_weights())
    loss = full.evaluate(task.evaluation(24, 1))["loss"].mean(dtype=np.float64)
    assert history.history["val_loss"][-1] == pytest.approx(loss, rel=1e-6)


def test_two_replicas_give_the_weights_of_one_over_all_stages(make_trainer, task):
    results, starts = [], []
    for replicas in (1, 2):
        trainer = progressive(
            make_trainer, replicas, "0.5:1", "0.75:2", precision="float64", optimizer=SGD, step={"accumulate": 2}
        )
        starts.append(weights(trainer))
        trainer.fit(task.training(24, replicas), epochs=3)
        results.append(weights(trainer))
    assert difference(*starts) == 0 and difference(starts[0], results[0]) > 0.01
    assert difference(*results) < 1e-9


@pytest.mark.slow
def test_a_run_that_goes_on_within_any_stage_ends_with_the_bits_of_an_undisturbed_one(make_trainer, task, tmp_path):
    arguments = {
        "optimizer": {"optimizer": "adam", "ema": 0.9},
        "cnn": {"batch_norm": True, "dense_dropout": 0.3},
        "step": {"accumulate": 2},
        "augment": lambda batch: {**batch, "image": tf.cast(batch["image"], tf.float32) * 0.9},
    }
    stages = "0.5:1", "0.75:2"
    undisturbed = progressive(make_trainer, 1, *stages, **arguments)
    keeper = Keeper(CheckpointFolder(tmp_path, keep=99), CheckpointOptions(checkpoint_steps=1))
    history = fit(undisturbed, task, 1, keeper)
    for step in (4, 9):
        resumed = progressive(make_trainer, 1, *stages, seed=9, **arguments)
        again = fit(resumed, task, 1, start=read(tmp_path / f"step-{step:09d}.npz")[0])
        for a, b in zip(everything(undisturbed), everything(resumed), strict=True):
            np.testing.assert_array_equal(a, b)
        assert again.history["val_loss"] == history.history["val_loss"]
        assert again.history["loss"] == history.history["loss"]


def test_each_size_is_traced_once(make_trainer, task):
    trainer = progressive(make_trainer, 1, "0.5:2", "0.75:4")
    traced = []
    for stage in trainer._stages:
        call = stage.forward.stateless_call

        def counted(*arguments, call=call, **options):
            if options["training"]:
                traced.append(arguments[2].shape[1:3].as_list())
            return call(*arguments, **options)

        stage.forward.stateless_call = counted
    trainer.fit(task.training(24, 1), task.evaluation(24, 1), epochs=6)
    # In a TensorFlow function with a loop, what stands in it is traced twice at most.
    assert [traced.count([size, size]) for size in (4, 6, 8)] == [traced.count([8, 8])] * 3
    assert traced.count([8, 8]) <= 2 and len(traced) <= 6


def test_a_replay_is_of_the_size_that_its_epoch_had(make_trainer, task, tmp_path):
    trainer = progressive(make_trainer, 1, "0.5:1")
    folder = CheckpointFolder(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        fit(trainer, task, 1, StopAt(folder, 4))
    start = folder.load_newest()
    batch = task.training(24, 1).dataset.skip(4).take(1)
    nothing = Meter(len(trainer.model.trainable_variables)).sums
    for epoch, size in ((0, 4), (1, 8)):
        seen = trainer.replay(dataclasses.replace(start, epoch=epoch), list(batch))
        assert seen.layers[0].values == 24 * size * size
        sums = trainer._loops[epoch](iter(trainer._distributed(batch)), 1, nothing).sums
        assert seen.losses.sum() == pytest.approx(float(sums.loss), rel=1e-5)


def test_a_model_whose_variables_depend_on_the_size_is_refused(make_trainer):
    words = r"at='4x4', differing='dense_1/kernel \(16, 16\) and \(4, 16\)'\. Pool over all places"
    with pytest.raises(InputError, match="Expected with --progressive-resizing.*" + words):
        progressive(make_trainer, 1, "0.5:2", cnn={"flatten": "flatten", "filters": 2})
    with pytest.raises(
        InputError, match="can be built for 1x1 images, as --progressive-resizing 0.1:2 has them.*block"
    ):
        progressive(make_trainer, 1, "0.1:2")


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["half:2"], "Expected --progressive-resizing as .*'half:2'"),
        (["1.5:2"], "a share between 0 and 1"),
        (["0:2"], "a share between 0 and 1"),
        (["0.5:0"], "the last epoch it holds for, from 1"),
        (["0.5:4", "0.75:4"], "end at a later epoch.*'0.5:4 0.75:4'"),
    ],
)
def test_what_is_no_stage_is_refused(texts, words):
    with pytest.raises(InputError, match=words):
        ResizingOptions(progressive_resizing=tuple(texts))


def test_stages_are_read_and_leave_an_epoch_for_the_full_size():
    options = ResizingOptions(progressive_resizing=("0.5:4", ".75 : 8 epochs"))
    assert options.stages == ((0.5, 4), (0.75, 8))
    options.require_within(9)
    with pytest.raises(InputError, match="until=8, epochs=8. Give more --epochs"):
        options.require_within(8)
    ResizingOptions().require_within(1)
