import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from base.errors import InputError
from pipelines.augment import layers, mixing
from pipelines.augment.policy import STEPS
from pipelines.augment.steps import Mixing

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8)
EVERY = {
    **{name: lambda cls=cls: getattr(layers, cls.__name__)(seed=4) for name, cls in STEPS.items()},
    "augment": lambda: layers.Augment([{"rotation": {"degrees": 30}}, "zoom"], fill="constant", fill_value=9, seed=4),
    "policy": lambda: layers.Augment("light", fill="reflect", interpolation="nearest", seed=4),
    "generator": lambda: layers.FromGenerator(
        rotation_range=20, zoom_range=[0.5, 0.9], brightness_range=[0.5, 1], fill_mode="wrap", seed=4
    ),
}


def apart(a, b):
    return np.abs(np.array(a, np.float32) - np.array(b, np.float32)).max()


@pytest.mark.parametrize("name", EVERY)
def test_every_layer_draws_anew_in_training_is_the_identity_else_and_comes_back_from_its_config(name):
    layer = EVERY[name]()
    np.testing.assert_array_equal(layer(IMAGES, training=False), IMAGES.astype(np.float32))
    first, second = (np.array(layer(IMAGES, training=True)) for _ in range(2))
    assert first.shape == IMAGES.shape and first.dtype == np.float32
    assert apart(first, IMAGES) > 10 and apart(first, second) > 10
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == config and again.policy == layer.policy
    np.testing.assert_array_equal(again(IMAGES, training=True), first)


def test_layers_of_a_model_are_saved_and_loaded_and_then_change_nothing_in_prediction(tmp_path):
    model = keras.Sequential([keras.Input((16, 16, 3)), *(make() for make in EVERY.values())])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert [layer.get_config() for layer in again.layers] == [layer.get_config() for layer in model.layers]
    np.testing.assert_array_equal(again.predict(IMAGES, verbose=0), IMAGES.astype(np.float32))


class Seen(keras.layers.Layer):
    """Keeps what reaches it."""

    def __init__(self):
        super().__init__()
        self.last = self.add_weight(shape=(4, 16, 16, 3), initializer="zeros", trainable=False)
        self.mean = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, images):
        self.mean.assign(keras.ops.max(keras.ops.abs(images[:4] - self.last)))
        self.last.assign(images[:4])
        return images


@pytest.mark.parametrize("compiled", [True, False], ids=["xla", "no_xla"])
def test_in_fit_every_step_and_every_example_has_its_own_draws(compiled):
    seen = Seen()
    layer = layers.Augment([{"rotation": {"degrees": 90}}, "shift"], seed=3)
    model = keras.Sequential([keras.Input((16, 16, 3), dtype="uint8"), layer, seen, keras.layers.Flatten()])
    model.add(keras.layers.Dense(2))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=compiled)
    same = np.repeat(IMAGES[:1], 4, axis=0)
    model.fit(same, np.zeros(4), epochs=2, batch_size=4, verbose=0)
    assert float(seen.mean) > 10  # the second step's images are not the first one's
    last = np.array(seen.last)
    assert min(apart(last[i], last[j]) for i in range(4) for j in range(i)) > 10
    before = np.array(seen.last)
    model.evaluate(same, np.zeros(4), batch_size=4, verbose=0)
    np.testing.assert_array_equal(seen.last, same.astype(np.float32))
    assert apart(before, same) > 10


def test_in_dataset_map_no_two_parallel_calls_have_the_same_draws():
    layer = layers.Rotation(degrees=90, seed=5)
    one = tf.data.Dataset.from_tensors(IMAGES[0]).repeat(400)
    single = one.map(layer, num_parallel_calls=8)
    assert single.element_spec == tf.TensorSpec((16, 16, 3), tf.float32)
    batched = one.batch(4, drop_remainder=True).map(layer, num_parallel_calls=8).unbatch()
    # The bytes of an image stand for its angle.
    angles = {image.tobytes() for dataset in (single, batched) for image in dataset.as_numpy_iterator()}
    assert len(angles) == 800
    assert not angles & {image.tobytes() for image in single.as_numpy_iterator()}  # nor has the next epoch


def test_two_layers_of_one_seed_draw_apart():
    y, x = np.mgrid[:33, :33]
    spot = np.broadcast_to((255 * np.exp(-((x - 16) ** 2 + (y - 16) ** 2) / 8))[..., None], (200, 33, 33, 1))
    moved = [layers.Shift(width=0.2, height=h, seed=1)(spot.astype(np.uint8)).numpy() for h in (0.0, 0.01)]
    places = [(images.sum(axis=(1, 3)) * np.arange(33)).sum(axis=1) / images.sum(axis=(1, 2, 3)) for images in moved]
    assert np.std(places[0]) > 2 and abs(np.corrcoef(*places)[0, 1]) < 0.25


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_a_layer_gives_its_compute_dtype(precision):
    plain = layers.Augment("light", seed=2)(IMAGES)
    layer = layers.Augment("light", seed=2, dtype=precision)
    seen = layer(IMAGES.astype(np.float64))
    assert seen.dtype == layer.compute_dtype
    assert apart(tf.cast(seen, tf.float32), plain) <= 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Swap(Mixing):
    """Gives each of two examples the other one's place."""


@mixing.draw.register
def _(step: Swap, draws):
    return None


@mixing.apply.register
def _(step: Swap, images, label, parameters):
    other = np.arange(8) ^ 1
    return tf.gather(images, other), tf.gather(label, other)


def test_a_layer_that_mixes_takes_and_gives_images_and_labels():
    layer = layers.Augment([Swap()], seed=1)
    labels = np.eye(8, dtype=np.float32)
    for compiled in (False, True):
        images, shares = tf.function(layer, jit_compile=compiled)((IMAGES, labels))
        np.testing.assert_array_equal(images, IMAGES[np.arange(8) ^ 1])
        np.testing.assert_array_equal(shares, labels[np.arange(8) ^ 1])
    images, shares = layer((IMAGES, labels), training=False)
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(shares, labels)
    with pytest.raises(InputError, match="one-hot labels"):
        layer(IMAGES)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: layers.Augment("flop"), "flip"),
        (lambda: layers.Augment([]), "steps"),
        (lambda: layers.Augment("flip", fill="mirror"), "fill"),
        (lambda: layers.Augment("flip", interpolation="cubic"), "interpolation"),
        (lambda: layers.Augment("flip", seed=-1), "seed"),
        (lambda: layers.Rotation(degree=3), "degrees"),
        (lambda: layers.Rotation(degrees=200), "degrees"),
        (lambda: layers.FromGenerator(rescale=0.5, horizontal_flip=True), "Rescaling"),
        (lambda: layers.FromGenerator(zoom_range=[1, 2, 3]), "zoom-range"),
        (lambda: layers.Flip()(np.zeros((3, 4))), "shape"),
    ],
)
def test_what_a_layer_cannot_do_is_one_line_that_names_it(make, named):
    with pytest.raises(InputError) as error:
        make()
    assert named in str(error.value)
