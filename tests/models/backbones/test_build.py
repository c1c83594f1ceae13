import gc
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from base.errors import InputError
from models.backbones.build import backbone_of, build_backbone_model, build_imagenet_model, head_of
from models.backbones.options import BackboneOptions
from models.backbones.preprocessing import preprocessed
from models.backbones.table import BACKBONES
from models.heads import Head
from models.standardise import Standardisation

THREE = Head("softmax", "cross_entropy", 3)
NONE = BackboneOptions(weights="none")
SMALL = {  # of each family
    "VGG16": 512,
    "VGG19": 512,
    "ResNet50": 2048,
    "ResNet50V2": 2048,
    "InceptionV3": 2048,
    "InceptionResNetV2": 1536,
    "Xception": 2048,
    "DenseNet121": 1024,
    "MobileNet": 1024,
    "MobileNetV2": 1280,
    "MobileNetV3Small": 576,
    "NASNetMobile": 1056,
    "EfficientNetB0": 1280,
    "EfficientNetV2B0": 1280,
    "ConvNeXtTiny": 768,
}
EACH_WAY = ("VGG16", "DenseNet121", "MobileNetV2", "MobileNetV3Small")  # of preprocessing
BY_TORCH = (np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]))
INSIDE = {
    "mobilenet_v3": lambda x: x / 127.5 - 1,
    "efficientnet": lambda x: (x / 255 - BY_TORCH[0]) / BY_TORCH[1],
    "efficientnet_v2": lambda x: (x / 255 - BY_TORCH[0]) / BY_TORCH[1],
    "convnext": lambda x: (x / 255 - BY_TORCH[0]) / BY_TORCH[1],
}


def pixels(height, width, channels, count=2):
    return np.random.default_rng(0).integers(0, 256, (count, height, width, channels)).astype(np.uint8)


def test_every_family_has_a_small_member_here():
    assert {BACKBONES[name].family for name in SMALL} == {backbone.family for backbone in BACKBONES.values()}


@pytest.mark.parametrize("family", sorted({backbone.family for backbone in BACKBONES.values()}))
@pytest.mark.parametrize("channels", [1, 3])
def test_preprocessing_is_that_of_keras_own_function(family, channels):
    how = next(backbone.preprocessing for backbone in BACKBONES.values() if backbone.family == family)
    image = keras.Input((5, 7, channels), name="image")
    layers = keras.Model(image, preprocessed(image, how))
    images = pixels(5, 7, channels)
    coloured = np.repeat(images, 3, axis=-1) if channels == 1 else images
    expected = getattr(keras.applications, family).preprocess_input(coloured.astype(np.float32))
    np.testing.assert_allclose(np.array(layers(images)), expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize(
    "name", [name if name in EACH_WAY else pytest.param(name, marks=pytest.mark.slow) for name in SMALL]
)
def test_a_member_of_each_family_takes_pixels_of_its_least_size_with_its_preprocessing_in_front(name):
    size, family = BACKBONES[name].minimum, BACKBONES[name].family
    model = build_backbone_model(name, NONE, (size, size + 3, 3), THREE)
    assert model.input.shape == (None, size, size + 3, 3) and model.output.shape == (None, 3)
    assert backbone_of(model).output.shape == (None, SMALL[name])

    scaled = [layer for layer in model.layers if isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization)]
    images = pixels(size, size + 3, 3)
    expected = INSIDE.get(family, getattr(keras.applications, family).preprocess_input)(images.astype(np.float32))
    received = keras.Model(model.input, scaled[-1].output)(images)
    np.testing.assert_allclose(np.array(received), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_gives_what_keras_gives_for_the_same_pixels(name):
    gc.collect()  # the models before, of up to 1.4 GB, are in cycles
    size, family = BACKBONES[name].minimum, BACKBONES[name].family
    backbone = backbone_of(build_backbone_model(name, NONE, (size, size, 3), THREE), pooled=False)
    plain = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(size, size, 3))
    plain.set_weights(backbone.get_weights())
    for layer in plain.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
    images = pixels(size, size, 3)
    expected = plain(getattr(keras.applications, family).preprocess_input(images.astype(np.float32)), training=False)
    received = backbone(images, training=False)
    assert np.array(expected).std() > 0
    np.testing.assert_allclose(np.array(received), np.array(expected), rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_grey_pixels_are_those_of_a_grey_image_in_colour():
    grey, colour = (build_backbone_model("VGG16", NONE, (32, 32, channels), THREE) for channels in (1, 3))
    colour.set_weights(grey.get_weights())
    images = pixels(32, 32, 1)
    np.testing.assert_array_equal(np.array(grey(images)), np.array(colour(np.repeat(images, 3, axis=-1))))


@pytest.mark.parametrize(
    ("options", "names", "features"),
    [
        ({}, ["head_pool", "head", "scores"], 64),
        ({"head_pool": "max", "head_dropout": 0.2}, ["head_pool", "head_dropout", "head", "scores"], 64),
        (
            {"head_pool": "flatten", "head_units": (9, 5), "head_dropout": 0.5},
            ["head_pool"]
            + [f"head_dense_{place}{part}" for place in (1, 2) for part in ("", "_relu", "_dropout")]
            + ["head", "scores"],
            4 * 64,
        ),
    ],
)
def test_the_head_is_what_the_options_ask_for(options, names, features):
    model = build_backbone_model("resnet-8", BackboneOptions(**options), (8, 8, 3), THREE)
    assert [layer.name for layer in model.layers][-len(names) :] == names
    assert head_of(model).input.shape == (None, features)
    dropouts = [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert set(dropouts) == {options["head_dropout"]} if "head_dropout" in options else not dropouts


@pytest.mark.parametrize(
    ("policy", "head", "units"),
    [("float32", "softmax", 3), ("mixed_float16", "sigmoid", 1), ("mixed_bfloat16", "linear", 3)],
)
def test_scores_are_float32_in_the_form_of_the_head_whatever_the_precision(policy, head, units):
    keras.config.set_dtype_policy(policy)
    model = build_backbone_model("MobileNetV2", NONE, (32, 32, 1), Head(head, "", 3))
    outputs = model(pixels(32, 32, 1))
    assert outputs.dtype == "float32" and outputs.shape == (2, units)
    assert model.get_layer("preprocess").output.dtype == "float32"
    assert model.get_layer("Conv1").compute_dtype == keras.config.dtype_policy().compute_dtype
    assert model.get_layer("scores").activation is getattr(keras.activations, head)


@pytest.mark.parametrize(("momentum", "expected"), [(0.9, 0.9), (0.0, 0.999)])
def test_moving_averages_follow_as_fast_as_the_option_says(momentum, expected):
    options = BackboneOptions(weights="none", width=0.1, backbone_norm_momentum=momentum)
    model = build_backbone_model("MobileNetV2", options, (32, 32, 3), THREE)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 52 and {layer.momentum for layer in norms} == {expected}


def test_backbone_and_head_of_a_loaded_model_join_to_what_it_gives(tmp_path):
    model = build_backbone_model("resnet-8", BackboneOptions(head_units=(5,), head_dropout=0.5), (8, 8, 3), THREE)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    images = pixels(8, 8, 3)
    expected = np.array(model(images))
    backbone, head = backbone_of(loaded), head_of(loaded)
    np.testing.assert_array_equal(np.array(head(backbone(images))), expected)
    # They share the layers: what the head learns, the model has; and it is saved as before.
    head.get_layer("head").kernel.assign(head.get_layer("head").kernel * 2)
    changed = np.array(loaded(images))
    assert not np.allclose(changed, expected)
    loaded.save(tmp_path / "again.keras")
    again = keras.models.load_model(tmp_path / "again.keras")
    np.testing.assert_array_equal(np.array(again(images)), changed)


def test_a_model_without_such_a_head_is_not_split():
    image = keras.Input((4,))
    with pytest.raises(InputError, match="backbone and a head"):
        backbone_of(keras.Model(image, keras.layers.Dense(2)(image)))


def test_names_of_layers_do_not_depend_on_what_was_built_before():
    first, second = (
        [layer.name for layer in build_backbone_model("MobileNetV3Small", NONE, (32, 32, 3), THREE).layers]
        for _ in range(2)
    )
    assert first == second


@pytest.mark.slow
def test_saved_models_load_and_give_the_same_where_millrace_is_not(tmp_path):
    code = (
        "import sys, keras, numpy as np\n"
        "assert not {'models', 'base'} & set(sys.modules)\n"
        "for path in sys.argv[1:]:\n"
        "    images, expected = np.load(path + '.npz').values()\n"
        "    received = np.array(keras.models.load_model(path)(images))\n"
        "    np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-6)\n"
        "print('same')\n"
    )
    paths = []
    for name in ("resnet-8", "wrn-10-1", *EACH_WAY, "EfficientNetB0", "ConvNeXtTiny"):
        size = BACKBONES[name].minimum if name in BACKBONES else 8
        model = build_backbone_model(name, NONE, (size, size, 3), THREE)
        images = pixels(size, size, 3)
        paths.append(str(tmp_path / f"{name}.keras"))
        model.save(paths[-1])
        np.savez(paths[-1] + ".npz", images=images, expected=np.array(model(images)))
    command = [sys.executable, "-I", "-c", code, *paths]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={"PATH": os.environ["PATH"]})
    assert result.stdout.endswith("same\n"), result.stderr


def test_the_imagenet_model_has_keras_own_top():
    model = build_imagenet_model("MobileNetV2", BackboneOptions(weights="none", width=0.35))
    assert model.input.shape == (None, 224, 224, 3) and model.output.shape == (None, 1000)
    plain = keras.applications.MobileNetV2(alpha=0.35, weights=None)
    assert model.count_params() == plain.count_params()
    with pytest.raises(InputError, match="224x224 with VGG16"):
        build_imagenet_model("VGG16", NONE, (96, 96, 3))
    with pytest.raises(InputError, match="'VGG16'"):
        build_imagenet_model("vgg16", NONE)


@pytest.mark.parametrize(
    ("name", "shape", "how", "named"),
    [
        ("vgg16", (64, 64, 3), {}, ["'VGG16'"]),
        ("VGG16", (31, 64, 3), {}, ["32x32", "31x64", "--image-size"]),
        ("InceptionV3", (74, 96, 3), {}, ["75x75"]),
        ("Xception", (96, 70, 3), {}, ["71x71"]),
        ("resnet-20", (4, 4, 3), {}, ["8x8"]),
        ("VGG16", (64, 64, 4), {}, ["1 or 3 channels"]),
        ("wrn-17-8", (32, 32, 3), {}, ["6n + 4"]),
        ("VGG16", (64, 64, 3), {"standardisation": Standardisation(rescale=None)}, ["own preprocessing"]),
    ],
)
def test_what_a_backbone_can_not_take_is_refused_in_one_line(name, shape, how, named):
    with pytest.raises(InputError) as error:
        build_backbone_model(name, NONE, shape, THREE, **how)
    assert all(part in str(error.value) for part in named), error.value
    assert "\n" not in str(error.value)
