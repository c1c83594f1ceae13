import keras
import numpy as np
import pytest
import tensorflow as tf

from base.errors import InputError
from models.export.metadata import NEEDS, Metadata
from models.inference import Classifier, load_network
from models.model_source import ModelSource, find_model


def dense(units, activation=None, shape=(4, 4, 3)):
    image = keras.Input(shape)
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    return keras.Model(image, keras.layers.Dense(units, activation)(x))


def saved(model, path):
    model.save(path)
    return find_model(str(path))


def images(count, shape=(4, 4, 3)):
    return list(np.random.default_rng(5).integers(0, 256, (count, *shape), np.uint8))


def test_scores_are_the_models_whatever_the_batch_and_there_is_one_compilation(tmp_path):
    model = dense(5, "softmax")
    source = saved(model, tmp_path / "m.keras")
    classifier = Classifier(load_network(source), source, (4, 4, 3), 4)
    assert classifier.classes == ("0", "1", "2", "3", "4")
    pixels = images(7)
    seen = np.concatenate([classifier.scores(pixels[start : start + 4]) for start in (0, 4)])
    assert seen.shape == (7, 5) and seen.dtype == np.float32
    np.testing.assert_allclose(seen, model.predict(np.stack(pixels), verbose=0), rtol=1e-5)
    np.testing.assert_array_equal(classifier.scores(pixels[4:]), seen[4:])
    assert classifier._compiled.experimental_get_tracing_count() == 1


def test_one_sigmoid_unit_has_scores_of_both_classes(tmp_path):
    model = dense(1, "sigmoid")
    source = saved(model, tmp_path / "m.keras")
    seen = Classifier(load_network(source), source, (4, 4, 3), 8).scores(images(3))
    probability = model.predict(np.stack(images(3)), verbose=0)
    np.testing.assert_allclose(seen, np.concatenate([1 - probability, probability], axis=1), rtol=1e-5)


def test_one_unit_that_gives_no_probability_is_refused_when_it_shows(tmp_path):
    model = dense(1, "relu")
    model.layers[-1].set_weights([np.full((48, 1), 0.001, np.float32), np.zeros(1, np.float32)])
    source = saved(model, tmp_path / "m.keras")
    classifier = Classifier(load_network(source), source, (4, 4, 3), 8)
    model.layers[-1].set_weights([np.full((48, 1), 0.1, np.float32), np.zeros(1, np.float32)])
    source = saved(model, tmp_path / "n.keras")
    assert classifier.scores(images(3)).max() < 1
    with pytest.raises(InputError, match="as a sigmoid does"):
        Classifier(load_network(source), source, (4, 4, 3), 8)


def test_a_saved_model_may_want_one_batch_size_and_give_labels_beside_scores(tmp_path):
    model = dense(3, "softmax")

    class Served(tf.Module):
        def __init__(self):
            self.model = model

        @tf.function(input_signature=[tf.TensorSpec([2, 4, 4, 3], tf.float32)])
        def serve(self, pixels):
            scores = self.model(pixels, training=False)
            return {"scores": scores, "label": tf.argmax(scores, axis=1), "logits": tf.math.log(scores)}

    module = Served()
    tf.saved_model.save(module, str(tmp_path / "model"), {"serving_default": module.serve})
    source = find_model(str(tmp_path / "model"))
    classifier = Classifier(load_network(source), source, (4, 4, 3), 32)
    assert classifier.batch_size == 2
    expected = model.predict(np.stack(images(1)), verbose=0)
    np.testing.assert_allclose(classifier.scores(images(1)), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        (lambda x: {"a": x, "b": x + 1}, "Expected one output of scores"),
        (lambda x: {"scores": tf.cast(x, tf.int32)}, "Expected one output of scores"),
    ],
)
def test_a_saved_model_without_scores_is_refused(outputs, told, tmp_path):
    module = tf.Module()
    module.serve = tf.function(
        lambda pixels: outputs(tf.reduce_mean(pixels, axis=[1, 2])), [tf.TensorSpec([None, 4, 4, 3], tf.float32)]
    )
    tf.saved_model.save(module, str(tmp_path / "model"), {"serving_default": module.serve})
    with pytest.raises(InputError, match=told):
        load_network(find_model(str(tmp_path / "model")))


def test_a_model_of_ones_own_finds_its_classes_in_its_file(tmp_path):
    code = tmp_path / "own_scaling.py"
    code.write_text(
        "import keras\nclass Twice(keras.layers.Layer):\n"
        "    def call(self, x):\n        return 2 * x\n"
        "def build(shape, units):\n    image = keras.Input(shape)\n"
        "    x = keras.layers.GlobalAveragePooling2D()(Twice()(image))\n"
        "    return keras.Model(image, keras.layers.Softmax()(x))\n"
    )
    (tmp_path / "config.yaml").write_text(f"model: {code}:build\nimage_size: 4\nchannels: 3\nfit: pad\n")
    (tmp_path / "environment.json").write_text('{"classes": ["red", "green", "blue"]}')
    namespace = {"__name__": "own_scaling"}
    exec(code.read_text(), namespace)
    namespace["build"]((4, 4, 3), 3).save(tmp_path / "model.keras")
    source = find_model(str(tmp_path))
    assert source.classes == ("red", "green", "blue") and source.fit == "pad"
    scores = Classifier(load_network(source), source, (4, 4, 3), 2).scores([np.full((4, 4, 3), [0, 1, 0], np.uint8)])
    np.testing.assert_allclose(scores[0], np.exp([0, 2, 0]) / np.exp([0, 2, 0]).sum(), rtol=1e-5)
    alone = ModelSource(name="x", kind="keras", path=tmp_path / "model.keras")
    with pytest.raises(InputError, match="that Keras can load .*'Twice'.* give the folder of the run"):
        load_network(alone)
    code.unlink()
    with pytest.raises(InputError, match=f"The run names {code}, which is not there"):
        load_network(source)


def test_no_file_that_an_archive_names_is_run(tmp_path):
    @keras.saving.register_keras_serializable(package="passing")
    class Lost(keras.layers.Layer):
        def call(self, x):
            return x

    code, ran = tmp_path / "code.py", tmp_path / "ran"
    code.write_text(f"open({str(ran)!r}, 'w')\n")
    image = keras.Input((4, 4, 3))
    keras.Model(image, Lost()(image)).save(tmp_path / "m.keras")
    del keras.saving.get_custom_objects()["passing>Lost"]
    about = {NEEDS: f"{code}:build"}
    Metadata(classes=("a", "b"), image_size=4, channels=3, fit="pad", about=about).append_to(tmp_path / "m.keras")
    source = find_model(str(tmp_path / "m.keras"))
    with pytest.raises(InputError, match=f"Keras needs the classes of '{code}:build'"):
        load_network(source)
    assert not ran.exists()


def test_a_backbone_is_built_by_the_function_handed_in_and_knows_imagenets_classes():
    asked = []

    def build(name, weights):
        asked.append((name, weights))
        return dense(1000, "softmax")

    source = find_model("VGG16", backbones=("VGG16", "VGG19"))
    classifier = Classifier(load_network(source, "weights.h5", build), source, (4, 4, 3), 2)
    assert asked == [("VGG16", "weights.h5")] and classifier.classes[207] == "golden_retriever"
    with pytest.raises(InputError, match="Did you mean 'VGG19'"):
        find_model("vgg19", backbones=("VGG16", "VGG19"))


def test_names_of_classes_in_a_file_must_be_different(tmp_path):
    (tmp_path / "names.txt").write_text("cat\ndog\ncat\n")
    source = saved(dense(3), tmp_path / "m.keras")
    with pytest.raises(InputError, match="twice=..cat.."):
        find_model(source.name, str(tmp_path / "names.txt"))
