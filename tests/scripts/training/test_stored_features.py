"""Stored features against the images that they stand for: same values, same order, same scores."""

import keras
import numpy as np
import pytest

from base.errors import InputError
from base.options import parse
from models.backbones.build import backbone_of, build_backbone_model, head_of
from models.backbones.freezing import unfreeze
from models.backbones.options import BackboneOptions
from models.heads import Head
from models.training import hardware
from models.training.compiling import compile_model
from models.training.options import HardwareOptions
from models.training.trainer import Trainer
from pipelines.images.input_options import InputSpec
from pipelines.manifest import read_manifest
from pipelines.reading.options import ReaderOptions
from pipelines.reading.parts import Parts
from scripts.training import assembly, building
from scripts.training.feeds import Data
from scripts.training.options import GROUPS
from scripts.training.stored_features import StoredFeatures, stored_features

SPEC = InputSpec(image_size=16, channels=3, fit="stretch")
THREE = Head("softmax", "cross_entropy", 3)
HELD, STREAMED, BALANCED = ReaderOptions(), ReaderOptions(cache="none"), ReaderOptions(sampling="balanced")


def machine(replicas):
    return hardware.prepare(HardwareOptions(strategy="mirrored" if replicas > 1 else "single", replicas=replicas))


def model_of(replicas=1, seed=0, spec=SPEC, unfrozen="none", **options):
    with machine(replicas).strategy.scope():
        keras.utils.set_random_seed(seed)
        model = build_backbone_model("resnet-8", BackboneOptions(**options), spec.shape, THREE)
        # As if it had been trained: batch normalisation with the averages of a new model passes pixels on.
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.moving_variance.assign(np.full(layer.moving_variance.shape, 0.3))
        unfreeze(model, unfrozen)
    return model


def feeds(data, model, parts, options=HELD, spec=SPEC, **named):
    arguments = (data, read_manifest(data), spec, parts, options)
    return StoredFeatures(model, machine(parts.own), *arguments, **named), Data(*arguments)


def unexpected(text):
    raise AssertionError(f"said: {text}")


def columns(dataset, count=99):
    batches = [{name: value.numpy() for name, value in batch.items()} for batch in dataset.take(count)]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


@pytest.mark.parametrize(
    ("policy", "replicas"), [("float32", 1), ("float32", 2), ("mixed_bfloat16", 1), ("mixed_float16", 2)]
)
def test_features_are_what_the_backbone_gives_for_the_images(data, policy, replicas):
    keras.config.set_dtype_policy(policy)
    model = model_of(replicas, unfrozen="all")  # inference mode, also where nothing says so
    stored, images = feeds(data, model, Parts(batch_size=16, replicas=replicas))
    keras.config.set_dtype_policy(policy)  # `machine` brings its own
    for split in ("train", "test"):
        seen, given = columns(stored.evaluation(split).dataset), columns(images.evaluation(split).dataset)
        expected = backbone_of(model)(given["image"], training=False).numpy()
        assert seen["image"].dtype == expected.dtype and seen["image"].std() > 0.01
        near = {"float32": 1e-6, "mixed_float16": 1e-2, "mixed_bfloat16": 5e-2}[policy]
        np.testing.assert_allclose(seen["image"].astype(float), expected.astype(float), rtol=near, atol=near)
        for name in ("label", "index", "epoch", "weight"):
            np.testing.assert_array_equal(seen[name], given[name])


@pytest.mark.parametrize(
    ("options", "replicas", "workers"),
    [(HELD, 1, 1), (HELD, 2, 1), (HELD, 4, 2), (BALANCED, 2, 1), (STREAMED, 2, 1)],
)
def test_a_step_has_the_examples_that_it_has_of_images(data, options, replicas, workers):
    model = model_of()
    rows = columns(feeds(data, model, Parts(batch_size=58))[0].evaluation("train").dataset)["image"]
    for worker, start in ((0, 0), (workers - 1, 11)):
        parts = Parts(batch_size=8, replicas=replicas, workers=workers, worker=worker)
        stored, images = feeds(data, model, parts, options)
        feed, of_images = stored.training("train", start), images.training("train", start)
        seen, given = columns(feed.dataset, 9), columns(of_images.dataset, 9)
        assert (feed.examples, feed.batch_size) == (of_images.examples, of_images.batch_size)
        for name in ("label", "index", "epoch", "weight"):
            np.testing.assert_array_equal(seen[name], given[name])
        np.testing.assert_array_equal(seen["image"], rows[seen["index"]])
    one, other = ([batch["index"].numpy().tolist() for batch in d.batch_of_step("train", 5)] for d in (stored, images))
    assert one == other and len(one) == replicas
    assert stored.ids("train", [3, 0]) == images.ids("train", [3, 0])


def test_features_are_computed_once_and_anew_where_anything_that_they_follow_from_changes(data):
    parts, said = Parts(batch_size=16), []
    spec = InputSpec(image_size=12, channels=3, fit="crop")
    first, _ = feeds(data, model_of(spec=spec, head_units=(4,)), parts, spec=spec, say=said.append)
    first.training("train")
    assert "58 images through resnet_8" in said[0] and "kept in" in said[1] and len(said) == 2
    again, _ = feeds(data, model_of(spec=spec, head_dropout=0.5), parts, spec=spec, say=unexpected)
    again.training("train")  # another head changes nothing
    assert (
        "resident, float32 [64]" in again.describe()["data"] and str(first.store.folder) in again.describe()["decoding"]
    )
    other = {
        "weights": model_of(spec=spec, seed=1),
        "pool": model_of(spec=spec, head_pool="max"),
    }
    keys = {name: feeds(data, model, parts, spec=spec)[0].store.key for name, model in other.items()}
    padded = InputSpec(image_size=12, channels=3, fit="pad")
    keys["fit"] = feeds(data, model_of(spec=spec), parts, spec=padded)[0].store.key
    keys["size"] = feeds(data, model_of(), parts)[0].store.key
    assert len({first.store.key, *keys.values()}) == 5


def test_features_of_a_backbone_that_has_been_trained_since_are_not_stored(data):
    model = model_of(seed=5)
    stored, _ = feeds(data, model, Parts(batch_size=16))
    kernel = backbone_of(model).trainable_variables or backbone_of(model).weights
    kernel[0].assign(kernel[0].numpy() + 1)
    with pytest.raises(RuntimeError, match="trained before"):
        stored.training("train")
    assert not (stored.store.folder / "train").exists()


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_head_that_was_trained_on_features_is_the_whole_models_own(data, replicas):
    model = model_of(replicas, head_units=(32,), head_dropout=0.3)
    hardware_of = machine(replicas)
    stored, images = feeds(data, model, Parts(batch_size=16, replicas=replicas))
    with hardware_of.strategy.scope():
        head_model = head_of(model)
        compile_model(head_model, THREE, keras.optimizers.Adam(0.01))
    before, backbone_before = head_model.get_weights(), backbone_of(model).get_weights()
    trainer = Trainer(head_model, head=THREE, hardware=hardware_of)
    with stored.reading(training=True):
        history = trainer.fit(
            stored.training("train"), stored.evaluation("validation"), epochs=10, steps_per_call=4
        ).history
    assert history["loss"][-1] < 0.5 * history["loss"][0] and len(history["val_loss"]) == 10
    assert all((old != new).any() for old, new in zip(before, head_model.get_weights(), strict=True))
    for old, new in zip(backbone_before, backbone_of(model).get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)

    given = columns(images.evaluation("test").dataset)
    by_features = trainer.evaluate(stored.evaluation("test"))
    joined = model(given["image"], training=False).numpy()[given["weight"] > 0]
    assert np.abs(joined - by_features["scores"]).max() < 1e-5 and joined.std() > 0.05


def test_training_on_features_goes_on_from_a_step_to_the_same_bits(data):
    def trained(epochs, start=None):
        model = model_of(head_units=(16,), head_dropout=0.5)
        stored, _ = feeds(data, model, Parts(batch_size=16))
        head_model = head_of(model)
        compile_model(head_model, THREE, keras.optimizers.Adam(0.003))
        trainer = Trainer(head_model, head=THREE, hardware=machine(1))
        saved = []
        keeper = Keeper(saved) if start is None else None
        trainer.fit(
            stored.training("train", start.step if start else 0),
            epochs=epochs,
            keeper=keeper,
            start=start,
            steps_per_call=3,
        )
        return head_model.get_weights(), saved

    class Keeper:
        """Keeps the snapshots of a training in memory."""

        def __init__(self, saved):
            self.saved = saved

        def steps_left(self, step):
            return None

        def after_call(self, step, snapshot):
            self.saved.append(snapshot())

        def after_epoch(self, step, snapshot):
            pass

    whole, saved = trained(3)
    resumed, _ = trained(3, next(snapshot for snapshot in saved if snapshot.step == 7))
    for one, other in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_model_without_a_border_between_backbone_and_head_is_refused(data):
    plain = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
    with pytest.raises(InputError, match="a backbone and a head"):
        feeds(data, plain, Parts(batch_size=16))


def test_a_trainings_options_say_all_that_its_features_need(data):
    arguments = ["--data", str(data), "--run", "unused", "--model", "resnet-8", "--weights", "none", "--seed", "4"]
    arguments += ["--image-size", "16", "--batch-size", "8", "--sampling", "balanced"]
    manifest, said = read_manifest(data), []
    options = parse("train.py", "", GROUPS, arguments)
    setting = assembly.setting_of(options, manifest, machine(1))
    weights = np.random.default_rng(0).random(58).astype(np.float32)
    images = Data(data, manifest, setting.spec, setting.parts, options["reading"], seed=4, sample_weights=weights)
    model = building.build_model(setting)
    stored = stored_features(setting, model, sample_weights=weights, budget=images.budget, say=said.append)
    seen, given = (columns(d.training("train", 3).dataset, 5) for d in (stored, images))
    for name in ("label", "index", "epoch", "weight", "sample_weight"):
        np.testing.assert_array_equal(seen[name], given[name])
    assert len(said) == 2 and stored.budget is images.budget and stored.options("train").cache == "memory"
