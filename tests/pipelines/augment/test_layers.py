import keras
import numpy as np
import pytest
import tensorflow as tf

from base.errors import InputError
from pipelines.augment import layers
from pipelines.augment.pixel_steps import Sometimes
from pipelines.augment.policy import STEPS

IMAGES = np.random.default_rng(0).integers(40, 200, (8, 16, 16, 3), np.uint8)
LABELS = np.eye(8, dtype=np.float32)


def layer_of(step):
    """With what `Sometimes` leaves alone half the time, so that two calls differ."""
    sometimes = {"probability": 0.5} if issubclass(step, Sometimes) else {}
    return getattr(layers, step.__name__)(seed=4, **sometimes)


EVERY = {
    **{name: lambda step=step: layer_of(step) for name, step in STEPS.items()},
    "augment": lambda: layers.Augment([{"rotation": {"degrees": 30}}, "zoom"], fill="constant", fill_value=9, seed=4),
    "policy": lambda: layers.Augment("light", fill="reflect", interpolation="nearest", seed=4),
    "generator": lambda: layers.FromGenerator(
        rotation_range=20, zoom_range=[0.5, 0.9], brightness_range=[0.5, 1], fill_mode="wrap", seed=4
    ),
}


def apart(a, b):
    return np.abs(np.array(a, np.float32) - np.array(b, np.float32)).max()


def shown(layer, training):
    seen = layer((IMAGES, LABELS) if layer.policy.mixes else IMAGES, training=training)
    return np.array(seen[0] if layer.policy.mixes else seen)


@pytest.mark.parametrize("name", EVERY)
def test_every_layer_comes_back_from_its_config_and_is_the_identity_outside_training(name):
    layer = EVERY[name]()
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == config and again.policy == layer.policy
    np.testing.assert_array_equal(shown(layer, False), IMAGES.astype(np.float32))


# One or two a kind: what each step does to pixels is held by the tests of the steps.
@pytest.mark.parametrize(
    "name", ["rotation", "crop", "solarize", "cutout", "rand_augment", "cutmix", "augment", "policy", "generator"]
)
def test_a_layer_draws_anew_at_each_call_and_the_same_again_from_the_same_config(name):
    layer = EVERY[name]()
    first, second = shown(layer, True), shown(layer, True)
    assert first.shape == IMAGES.shape and first.dtype == np.float32
    assert apart(first, IMAGES) > 5 and apart(first, second) > 5
    np.testing.assert_array_equal(shown(type(layer).from_config(layer.get_config()), True), first)


def test_layers_of_a_model_are_saved_and_loaded_and_then_change_nothing_in_prediction(tmp_path):
    made = [layer for layer in (make() for make in EVERY.values()) if not layer.policy.mixes]
    model = keras.Sequential([keras.Input((16, 16, 3)), *made])
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


def test_layers_that_mix_take_and_give_images_and_labels_in_a_model_and_in_dataset_map():
    layer = layers.Mixup(alpha=10, seed=1)
    by_map = (
        tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))
        .batch(8)
        .map(lambda *pair: layer(pair))
        .get_single_element()
    )
    inputs = keras.Input((16, 16, 3), dtype="uint8"), keras.Input((8,))
    model = keras.Model(inputs, layer(inputs))
    for images, shares in (by_map, model((IMAGES, LABELS), training=True)):
        images, shares = np.array(images), np.array(shares)
        assert ((shares > 0.05) & (shares < 0.95)).sum() == 16
        np.testing.assert_allclose(images, np.tensordot(shares, IMAGES.astype(np.float32), axes=1), atol=0.01)
    images, shares = model((IMAGES, LABELS), training=False)
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(shares, LABELS)
    with pytest.raises(InputError, match="one-hot labels"):
        layer(IMAGES)


def test_what_erases_has_a_colour_of_its_own_and_what_moves_has_the_warps():
    assert (layers.Cutout(fill_value=3).policy.steps[0].fill_value, layers.Cutout().policy.fill_value) == (3, 0)
    assert layers.Rotation(fill="constant", fill_value=3).policy.fill_value == 3
    with pytest.raises(InputError, match="fill"):
        layers.Hue(fill="constant")


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
