import json
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from base.errors import InputError
from models.backbones.build import backbone_of, build_backbone_model
from models.backbones.options import BackboneOptions
from models.backbones.preprocessing import set_input_statistics
from models.backbones.weights import imagenet_weights, load_weights
from models.heads import Head

ROOT = Path(__file__).parents[3]
THREE = Head("softmax", "cross_entropy", 3)


def build(name, weights, shape=(32, 32, 3), **options):
    return build_backbone_model(name, BackboneOptions(weights=str(weights), **options), shape, THREE)


@pytest.fixture(scope="module")
def narrow():
    """Keras' own, small, its weights drawn at random: with its top, and without."""
    both = {}
    for top in (True, False):
        model = keras.applications.MobileNetV2(alpha=0.1, weights=None, include_top=top, input_shape=(32, 32, 3))
        drawn = np.random.default_rng(0)
        model.set_weights([drawn.uniform(0.5, 1.5, size=w.shape).astype(np.float32) for w in model.get_weights()])
        both[top] = model
    return both


@pytest.fixture(scope="module")
def backbone():
    """That is given the weights of files."""
    return backbone_of(build("MobileNetV2", "none", width=0.1))


def save_legacy(model, path):
    """As Keras 2 wrote weights: names of layers in order, and of each its weights, the trained ones first."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            weights = layer.trainable_weights + layer.non_trainable_weights
            group.attrs["weight_names"] = [weight.path.encode() for weight in weights]
            for weight in weights:
                group[weight.path] = np.array(weight)


FORMS = ["my.weights.h5", "my.keras", "whole.h5", "weights.h5", "inside.keras"]


@pytest.mark.parametrize(
    ("form", "top"),
    [
        *((form, place % 2 == 1) for place, form in enumerate(FORMS)),
        *(pytest.param(form, place % 2 == 0, marks=pytest.mark.slow) for place, form in enumerate(FORMS)),
    ],
)
def test_every_form_of_file_with_and_without_a_top_gives_the_backbone_its_weights(
    form, top, narrow, backbone, tmp_path
):
    plain, path = narrow[top], tmp_path / form
    if form == "weights.h5":
        save_legacy(plain, path)
    elif form == "my.weights.h5":
        plain.save_weights(path)
    elif form == "inside.keras":
        keras.Sequential([plain, keras.layers.Dense(2)]).save(path)
    else:
        plain.save(path)
    backbone.set_weights([np.zeros_like(w) for w in backbone.get_weights()])
    load_weights(backbone, path, "it")
    received = backbone.get_weights()
    assert len(received) == 260
    for own, its in zip(received, plain.get_weights(), strict=False):
        np.testing.assert_array_equal(own, its)


def test_layers_inside_layers_are_found_in_both_kinds_of_file(tmp_path):
    image = x = keras.Input((8, 8, 3))
    for filters in (4, 4, 4):  # as in ConvNeXt
        x = keras.Sequential([keras.layers.Conv2D(filters, 1), keras.layers.LayerNormalization()])(x)
        x = keras.layers.Conv2D(filters, 1)(x)
    model = keras.Model(image, x)
    model.save_weights(tmp_path / "my.weights.h5")
    save_legacy(model, tmp_path / "old.h5")
    expected = model.get_weights()
    for file in ("my.weights.h5", "old.h5"):
        model.set_weights([np.full_like(w, 7) for w in expected])
        load_weights(model, tmp_path / file, "it")
        for own, its in zip(model.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(own, its)


def test_a_model_trained_here_gives_its_backbone_to_one_for_other_classes_and_sizes(tmp_path):
    first = build("resnet-8", "none", (8, 8, 3), head_units=(4,))
    first.save(tmp_path / "model.keras")
    options = BackboneOptions(weights=str(tmp_path / "model.keras"))
    second = build_backbone_model("resnet-8", options, (16, 12, 3), Head("sigmoid", "cross_entropy", 2))
    for own, its in zip(backbone_of(first).get_weights(), backbone_of(second).get_weights(), strict=True):
        np.testing.assert_array_equal(own, its)


@pytest.mark.slow
def test_the_published_statistics_of_efficientnet_are_read_as_deviations(tmp_path):
    # The published file has standard deviations where its normalisation takes variances.
    path, deviation = tmp_path / "b0.weights.h5", np.array([0.229, 0.224, 0.225])
    plain = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(32, 32, 3))
    normalization = next(layer for layer in plain.layers if isinstance(layer, keras.layers.Normalization))
    normalization.set_weights([np.array([0.485, 0.456, 0.406]), deviation, np.array(0)])
    plain.save_weights(path)
    model = build("EfficientNetB0", path)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
    first = keras.Model(model.input, model.get_layer("normalization").output)
    expected = (pixels / 255 - [0.485, 0.456, 0.406]) / deviation
    np.testing.assert_allclose(np.array(first(pixels)), expected, rtol=1e-4, atol=1e-4)


def test_other_statistics_of_a_file_are_kept():
    image = keras.Input((4, 4, 3))
    model = keras.Model(image, keras.layers.Normalization()(image))
    set_input_statistics(model, loaded=True)  # as of an EfficientNet that Keras trained from scratch
    np.testing.assert_array_equal(np.array(model(np.full((1, 4, 4, 3), 0.3, np.float32))), np.float32(0.3))
    set_input_statistics(model, loaded=False)
    assert np.array(model(np.full((1, 4, 4, 3), 0.3, np.float32))).max() < 0


@pytest.mark.parametrize("form", ["my.weights.h5", "old.h5"])
def test_weights_of_another_architecture_are_named_layer_by_layer(form, narrow, tmp_path):
    path = tmp_path / form
    narrow[False].save_weights(path) if form == "my.weights.h5" else save_legacy(narrow[False], path)
    with pytest.raises(InputError) as error:
        build("MobileNetV2", path, width=0.35)
    message = str(error.value)
    assert "MobileNetV2 of width 0.35" in message and "\n" not in message
    assert "of 104 layers differ: Conv1 3x3x3x16, in the file Conv1 3x3x3x8; " in message
    with pytest.raises(
        InputError, match=r"13 of 13 layers differ: block1_conv1 3x3x3x64 64, in the file .*and 10 more"
    ):
        build("VGG16", path)


def test_what_is_no_file_of_weights_is_refused(tmp_path):
    (tmp_path / "text.h5").write_text("weights")
    (tmp_path / "text.keras").write_text("weights")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["images"] = np.zeros(3)
    for name, named in [
        ("text.h5", "that Keras has saved"),
        ("text.keras", "that Keras has saved"),
        ("other.h5", "images"),
        ("missing.h5", "There is no such file"),
        (".", "ends in"),
    ]:
        with pytest.raises(InputError, match=named) as error:
            build("resnet-8", tmp_path / name)
        assert "\n" not in str(error.value)


CACHED = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96_no_top.h5"
OFFLINE = """
    import json, sys
    import keras
    import numpy as np
    from base.errors import InputError
    from models.backbones import weights as backbone_weights
    from models.backbones.options import BackboneOptions
    from models.backbones.build import backbone_of, build_backbone_model
    from models.heads import Head

    head = Head("softmax", "cross_entropy", 3)
    model = build_backbone_model("MobileNetV2", BackboneOptions(width=0.35), (96, 96, 1), head)
    np.savez(sys.argv[1], *backbone_of(model).get_weights())

    backbone_weights._TIMEOUT = 0.2
    errors = []
    for size in (128, 160):
        build = lambda: keras.applications.MobileNetV2((size, size, 3), 0.35, include_top=False)
        try:
            backbone_weights.imagenet_weights("MobileNetV2", build)
        except InputError as error:
            errors.append(str(error))
    print("\\n" + json.dumps(errors))
"""


def test_what_can_not_be_fetched_is_named_with_its_address_and_its_place(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/b7.h5"
    with pytest.raises(InputError) as error:
        imagenet_weights("EfficientNetB7", lambda: keras.utils.get_file("b7.h5", address, cache_dir=tmp_path))
    place = tmp_path / "datasets" / "b7.h5"
    assert f"Expected the ImageNet weights of EfficientNetB7 at {place}, or a network" in str(error.value)
    assert f"Fetch {address}, and put it there, or give it as --weights PATH." in str(error.value)
    assert "\n" not in str(error.value) and capsys.readouterr().out == ""  # where predictions may go


@pytest.mark.slow
@pytest.mark.slow  # Keras waits a minute for an address that is silent
def test_imagenets_weights_come_from_keras_cache_or_the_error_names_file_address_and_place(tmp_path):
    cache = tmp_path / "models"
    cache.mkdir()
    plain = keras.applications.MobileNetV2(alpha=0.35, include_top=False, weights=None, input_shape=(96, 96, 3))
    save_legacy(plain, cache / CACHED)
    (cache / CACHED.replace("_96_", "_160_")).write_bytes(b"half of it")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and never answers
        proxy = f"http://127.0.0.1:{silent.getsockname()[1]}"
        environment = {**os.environ, "KERAS_HOME": str(tmp_path), "https_proxy": proxy, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", textwrap.dedent(OFFLINE), str(tmp_path / "weights.npz")]
        result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert result.returncode == 0, result.stderr
    missing, broken = json.loads(result.stdout.splitlines()[-1])
    for own, its in zip(np.load(tmp_path / "weights.npz").values(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(own, its)

    name, folder = CACHED.replace("_96_", "_128_"), "https://storage.googleapis.com/tensorflow/keras-applications"
    assert f"Expected the ImageNet weights of MobileNetV2 at {cache / name}, or a network" in missing
    assert "timed out" in missing and "--weights PATH" in missing
    assert f"Fetch {folder}/mobilenet_v2/{name}, " in missing
    assert "whole file" in broken and str(cache) in broken
    assert sorted(path.name for path in cache.iterdir()) == sorted([CACHED, CACHED.replace("_96_", "_160_")])
