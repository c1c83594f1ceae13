import numpy as np
import pytest
import tensorflow as tf

from scripts import build_tfrecords

SMALL = ["--image-size", "16", "--blocks", "2", "--filters", "4", "--dense-units", "8", "--batch-size", "16"]
# A model of one's own, with a layer that Keras knows only by its file.
OWN = """
import keras

class Twice(keras.layers.Layer):
    def call(self, x):
        return 2 * x

def build(shape, classes):
    image = keras.Input(shape)
    x = keras.layers.Conv2D(4, 3, activation="relu")(Twice()(keras.layers.Rescaling(1 / 255)(image)))
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(4)(x))
    return keras.Model(image, keras.layers.Dense(classes, activation="softmax")(x))
"""


def write_photos(folder, classes=("cat", "dog", "owl"), count=24):
    """JPEGs of differing sizes; a class is a colour under noise."""
    rng = np.random.default_rng(0)
    for place, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            image = rng.integers(0, 90, (20 + i % 5, 24, 3))
            image[:, :, place] += 120
            jpeg = tf.io.encode_jpeg(image.astype(np.uint8)).numpy()
            (folder / name / f"{i}.jpg").write_bytes(jpeg)


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A data set of 72 photos in three classes: 58, 7 and 7 in `train`, `validation`, `test`."""
    folder = tmp_path_factory.mktemp("photos")
    write_photos(folder / "source")
    assert build_tfrecords.main([str(folder / "source"), "--out", str(folder / "data")]) == 0
    return folder / "data"


@pytest.fixture(scope="session")
def digits(tmp_path_factory) -> str:
    """The folder of scikit-learn's handwritten digits, 8x8 pixels, converted."""
    folder = tmp_path_factory.mktemp("data") / "digits"
    assert build_tfrecords.main(["digits", "--out", str(folder), "--quiet"]) == 0
    return str(folder)
