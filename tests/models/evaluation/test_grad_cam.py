import keras
import numpy as np
import pytest
import tensorflow as tf

from models.evaluation.grad_cam import heat_maps
from models.heads import Head

SOFTMAX = Head("softmax", "cross_entropy", 3)


def convolution(**arguments):
    return keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="maps", **arguments)


def top():
    return [
        keras.layers.MaxPooling2D(2),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3, activation="softmax", name="out"),
    ]


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def flat():
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Rescaling(1 / 255), convolution(), *top()])


def by_the_paper(flat, images, of):
    """Weights and gradients written out: each map's weight is the mean slope of the score before the softmax."""
    out = flat.get_layer("out")
    maps = flat.get_layer("maps")(images / np.float32(255))
    with tf.GradientTape() as tape:
        tape.watch(maps)
        pooled = tf.reduce_mean(tf.nn.max_pool2d(maps, 2, 2, "VALID"), axis=(1, 2))
        score = tf.gather(pooled @ out.kernel + out.bias, of, axis=1, batch_dims=1)
    weights = tf.reduce_mean(tape.gradient(score, maps), axis=(1, 2), keepdims=True)
    seen = np.maximum(np.sum(weights * maps, axis=-1), 0)
    return seen / np.maximum(seen.max(axis=(1, 2), keepdims=True), 1e-12)


def test_the_map_is_the_papers_of_the_score_before_the_softmax(flat, images):
    of = np.array([1, 2])
    maps, layer = heat_maps(flat, SOFTMAX, images, of)
    assert layer == "maps" and maps.shape == (2, 8, 8) and maps.max() == 1
    np.testing.assert_allclose(maps, by_the_paper(flat, images, of), atol=1e-5)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.before, self.maps, self.after = keras.layers.Rescaling(1 / 255), convolution(), top()

    def call(self, images):
        x = self.maps(self.before(images))
        for layer in self.after:
            x = layer(x)
        return x


def nested():
    backbone = keras.Sequential([keras.Input((8, 8, 3)), convolution(trainable=False)], name="backbone")
    classifier = keras.Sequential([keras.Input((8, 8, 4)), *top()], name="classifier")
    image = keras.Input((8, 8, 3))
    return keras.Model(image, classifier(backbone(keras.layers.Rescaling(1 / 255)(image))))


@pytest.mark.parametrize("build", [Subclassed, nested])
def test_nested_frozen_and_subclassed_models_have_the_same_map_and_stay_as_they_were(build, flat, images):
    model = build()
    model(images)
    model.set_weights(flat.get_weights())
    of = np.array([0, 1])
    before = model(images).numpy()
    maps, layer = heat_maps(model, SOFTMAX, images, of)
    assert layer == "maps"
    np.testing.assert_allclose(maps, heat_maps(flat, SOFTMAX, images, of)[0], atol=1e-5)
    np.testing.assert_array_equal(model(images).numpy(), before)


def test_one_sigmoid_unit_speaks_for_class_1_and_against_class_0(images):
    image = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(1, 1, kernel_initializer="ones", name="maps")(image))
    model = keras.Model(image, keras.layers.Dense(1, activation="sigmoid", kernel_initializer="ones")(x))
    head = Head("sigmoid", "cross_entropy", 2)
    maps, _ = heat_maps(model, head, np.stack([images[0], images[0]]), np.array([1, 0]))
    bright = images[0].sum(axis=-1)
    np.testing.assert_allclose(maps[0], bright / bright.max(), atol=1e-5)
    assert maps[1].max() == 0  # nothing speaks for class 0


def test_without_a_convolution_the_last_maps_that_are_no_image_any_more_are_looked_at(images):
    pooled = [keras.layers.Rescaling(1 / 255), keras.layers.AveragePooling2D(2, name="pool")]
    model = keras.Sequential([keras.Input((8, 8, 3)), *pooled, keras.layers.Flatten(), keras.layers.Dense(3)])
    model.layers[-1].set_weights([np.ones((48, 3)), np.zeros(3)])
    maps, layer = heat_maps(model, Head("linear", "hinge", 3), images, np.array([0, 1]))
    assert layer == "pool" and (maps.max(axis=(1, 2)) == 1).all()


def test_a_model_without_feature_maps_has_none(images):
    pixels = [keras.Input((8, 8, 3)), keras.layers.Rescaling(1 / 255)]
    model = keras.Sequential([*pixels, keras.layers.Flatten(), keras.layers.Dense(3)])
    assert heat_maps(model, Head("linear", "hinge", 3), images, np.array([0, 1])) is None
