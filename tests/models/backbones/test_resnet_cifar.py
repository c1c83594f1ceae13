import keras
import numpy as np
import pytest

from models.backbones.build import backbone_of, build_backbone_model
from models.backbones.options import BackboneOptions
from models.heads import Head
from models.standardise import Standardisation

TEN = Head("softmax", "cross_entropy", 10)


def build(name, shape=(32, 32, 3), **how):
    return build_backbone_model(name, BackboneOptions(), shape, TEN, **how)


# Table 6 of He et al. 2015; table 4 of Zagoruyko, Komodakis 2016.
@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("resnet-20", "0.27"),
        ("resnet-32", "0.46"),
        ("resnet-44", "0.66"),
        ("resnet-56", "0.85"),
        ("wrn-16-8", "11.0"),
        pytest.param("resnet-110", "1.7", marks=pytest.mark.slow),
        pytest.param("wrn-40-4", "8.9", marks=pytest.mark.slow),
        pytest.param("wrn-28-10", "36.5", marks=pytest.mark.slow),
    ],
)
def test_a_network_has_as_many_parameters_as_its_paper_says(name, millions):
    trained = sum(int(np.prod(variable.shape)) for variable in build(name).trainable_variables)
    digits = len(millions.partition(".")[2])
    assert f"{trained / 1e6:.{digits}f}" == millions


@pytest.mark.parametrize(("name", "layers"), [("resnet-20", 20), ("wrn-16-8", 16), ("wrn-28-2", 28)])
def test_a_network_has_as_many_layers_as_its_name_says(name, layers):
    kernels = [layer for layer in build(name).layers if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)]
    # A wide one's name counts the shortcuts' convolutions, and not the dense layer (section 3).
    assert len(kernels) - ("wrn" in name) == layers


@pytest.mark.parametrize(("name", "channels"), [("resnet-8", 64), ("wrn-10-2", 128)])
def test_feature_maps_are_a_quarter_of_the_image_whatever_its_size(name, channels):
    for height, width, depth in ((32, 32, 3), (9, 30, 1)):
        features = backbone_of(build(name, (height, width, depth)), pooled=False)
        assert features.output.shape == (None, -(-height // 4), -(-width // 4), channels)


def test_the_shortcut_without_parameters_takes_every_second_pixel_and_zeros_for_new_channels():
    model = build("resnet-8", (8, 8, 3))
    # The second convolution gives nothing: the block's output is the shortcut, which is positive already.
    model.get_layer("stage_2_block_1_conv_2_norm").gamma.assign(np.zeros(32))
    x = model.get_layer("stage_1_block_1_relu").output
    y = model.get_layer("stage_2_block_1_relu").output
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype(np.float32)
    before, after = (np.array(part) for part in keras.Model(model.input, [x, y])(pixels))
    np.testing.assert_array_equal(after[..., 8:24], before[:, ::2, ::2])
    assert before.max() > 0 and not after[..., :8].any() and not after[..., 24:].any()


def test_a_convolution_with_stride_is_centred_on_the_pixels_that_the_shortcut_takes():
    model = build("resnet-8", (8, 8, 3))
    convolution = model.get_layer("stage_2_block_1_conv_1")
    kernel = np.zeros(convolution.kernel.shape, np.float32)
    kernel[1, 1] = 1 / 16
    convolution.kernel.assign(kernel)
    x, y = model.get_layer("stage_1_block_1_relu").output, convolution.output
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype(np.float32)
    before, after = (np.array(part) for part in keras.Model(model.input, [x, y])(pixels))
    np.testing.assert_allclose(after[..., 0], before[:, ::2, ::2].mean(axis=-1), rtol=1e-5)


def test_its_images_are_standardised_as_the_cnns_are():
    model = build("resnet-8", (8, 8, 1), standardisation=Standardisation(rescale=None, mean=(100.0,), std=(50.0,)))
    pixels = np.full((1, 8, 8, 1), 150, np.float32)
    first = keras.Model(model.input, model.get_layer("conv_1").input)
    np.testing.assert_allclose(np.array(first(pixels)), 1, rtol=1e-6)
