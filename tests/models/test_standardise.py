"""Against Keras' own ImageDataGenerator: fitted on the same pixels, the first layers give what `standardize` gives."""

import itertools
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
from keras.src.legacy.preprocessing.image import ImageDataGenerator

from models.cnn import build_cnn
from models.cnn_options import CNNOptions
from models.heads import Head
from models.standardise import DEFAULT, Standardisation, standardised
from pipelines.augment.generator_options import GeneratorOptions
from pipelines.images.input_options import InputSpec
from scripts.training import assembly

SHAPE = (6, 5, 3)
FLAGS = (
    "samplewise_center",
    "samplewise_std_normalization",
    "featurewise_center",
    "featurewise_std_normalization",
    "zca_whitening",
)


def photos(count, seed=0):
    """Neighbours are alike, and channels differ: something to whiten."""
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(count, 90)) @ np.random.default_rng(9).normal(size=(90, 90)) * 5
    return np.clip(latent.reshape(count, *SHAPE) + [60, 120, 160], 0, 255).astype(np.uint8)


class Split:
    """A training split, read in batches of 32."""

    def __init__(self, images):
        self.images = images

    def passing(self, split):
        assert split == "train"
        return self

    @property
    def dataset(self):
        return self

    def as_numpy_iterator(self):
        for start in range(0, len(self.images), 32):
            part = self.images[start : start + 32]
            yield {"image": part, "weight": np.ones(len(part), np.float32)}


def fitted(images, **options):
    spec = InputSpec(image_size=6, channels=3, fit="stretch")
    return assembly.fitted_standardisation(GeneratorOptions(**options), Split(images), spec)


def model_of(how, shape=SHAPE):
    image = keras.Input(shape)
    return keras.Model(image, standardised(image, how))


@pytest.mark.parametrize("rescale", [None, 1 / 255], ids=["as_it_is", "rescaled"])
@pytest.mark.parametrize(
    "flags", itertools.product([False, True], repeat=5), ids=lambda f: "".join(map(str, map(int, f)))
)
def test_first_layers_equal_keras_standardize_for_every_combination_of_options(flags, rescale):
    options = dict(zip(FLAGS, flags, strict=True))
    if not any(flags) and rescale is None:
        return  # nothing is asked for: see below
    images, fresh = photos(300), photos(20, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that one option brings another with it
        keras_own = ImageDataGenerator(**options, rescale=rescale, dtype="float64")
        keras_own.fit(images)
    expected = np.concatenate([keras_own.standardize(image[None].astype(np.float64)) for image in fresh])
    seen = np.array(model_of(fitted(images, **options, rescale=rescale))(fresh))
    assert seen.shape == expected.shape and seen.dtype == np.float32
    np.testing.assert_allclose(seen, expected, atol=1e-4, rtol=1e-4)


def test_without_options_grey_levels_become_0_to_1_and_with_one_only_that_is_done():
    image = photos(1)
    assert fitted(photos(9)) is DEFAULT
    np.testing.assert_allclose(model_of(DEFAULT)(image), image / 255, rtol=1e-6)
    centred = fitted(photos(9), samplewise_center=True)
    assert centred == Standardisation(rescale=None, samplewise_center=True)
    np.testing.assert_allclose(model_of(centred)(image), image - image.mean(), atol=1e-4)
    assert fitted(photos(9), rescale="1/127.5") == Standardisation(rescale=1 / 127.5)


def test_an_image_of_one_grey_level_stays_finite():
    black = np.zeros((1, *SHAPE), np.uint8)
    how = fitted(photos(300), samplewise_std_normalization=True)
    np.testing.assert_array_equal(model_of(how)(black), black.astype(np.float32))


@pytest.mark.parametrize("precision", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_first_layers_compute_in_float32_and_nothing_of_them_is_trained(precision):
    keras.config.set_dtype_policy(precision)
    how = fitted(photos(300), rescale=1 / 255, samplewise_std_normalization=True, zca_whitening=True)
    model = build_cnn(CNNOptions(blocks=1, filters=2, dense_layers=0), SHAPE, Head("softmax", "cross_entropy", 2), how)
    whitened = keras.Model(model.input, model.get_layer("whitened").output)
    keras.config.set_dtype_policy("float32")
    np.testing.assert_allclose(whitened(photos(8, seed=1)), model_of(how)(photos(8, seed=1)), atol=1e-5)
    assert not any("zca" in weight.path for weight in model.trainable_weights)
    assert model.get_layer("block_1_conv").kernel.shape == (3, 3, 3, 2)


def test_a_saved_model_standardises_alike_where_millrace_is_not_installed(tmp_path):
    options = dict.fromkeys(FLAGS, True) | {"rescale": "1/255"}
    for name, left_out in (("whitened", ()), ("divided", ("zca_whitening",))):
        how = fitted(photos(300), **{k: v for k, v in options.items() if k not in left_out})
        model = model_of(how)
        model.save(tmp_path / f"{name}.keras")
        np.save(tmp_path / f"{name}.npy", model.predict(photos(8, seed=1), verbose=0))
    np.save(tmp_path / "images.npy", photos(8, seed=1))
    code = """
import sys
class Absent:
    def find_spec(self, name, *_):
        if name.split(".")[0] in {"base", "models", "pipelines", "scripts", "tuning"}:
            raise ImportError(name)
sys.meta_path.insert(0, Absent())
import keras, numpy as np
for name in ("whitened", "divided"):
    seen = keras.models.load_model(name + ".keras").predict(np.load("images.npy"), verbose=0)
    np.testing.assert_array_equal(seen, np.load(name + ".npy"))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
