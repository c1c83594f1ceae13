import keras
import numpy as np
import pytest

from base.errors import InputError
from models.cnn import build_cnn
from models.cnn_options import CNNOptions
from models.heads import Head, HeadOptions, head_for

SOFTMAX = Head("softmax", "cross_entropy", 10)


def shapes(model):
    return {layer.name: tuple(layer.output.shape[1:]) for layer in model.layers}


def test_every_hyperparameter_shows_in_the_layers():
    options = CNNOptions(
        blocks=2,
        convolutions=2,
        filters=6,
        filter_growth=1.5,
        kernel_size=5,
        stride=2,
        padding="valid",
        activation="elu",
        batch_norm=True,
        batch_norm_momentum=0.8,
        pooling="average",
        pool_size=3,
        dropout=0.1,
        spatial_dropout=0.2,
        flatten="average",
        dense_layers=2,
        dense_units=7,
        dense_dropout=0.3,
        kernel_initializer="orthogonal",
        l1=1e-3,
        l2=1e-2,
    )
    model = build_cnn(options, (128, 128, 3), SOFTMAX)
    seen = shapes(model)
    assert seen["block_1_conv_1"] == (62, 62, 6)  # (128 - 5) // 2 + 1
    assert seen["block_1_conv_2"] == (58, 58, 6)
    assert seen["block_1_pool"] == (19, 19, 6)
    assert seen["block_2_conv_1"] == (8, 8, 9)  # 6 x 1.5 filters
    assert seen["average"] == (9,) and seen["dense_2"] == (7,) and seen["scores"] == (10,)
    convolution = model.get_layer("block_1_conv_1")
    assert not convolution.use_bias
    assert isinstance(convolution.kernel_initializer, keras.initializers.OrthogonalInitializer)
    assert (float(convolution.kernel_regularizer.l1), float(convolution.kernel_regularizer.l2)) == (
        pytest.approx(1e-3),
        pytest.approx(1e-2),
    )
    assert model.get_layer("block_2_conv_2_norm").momentum == 0.8
    assert model.get_layer("block_1_conv_1_elu").activation is keras.activations.elu
    assert isinstance(model.get_layer("block_1_pool"), keras.layers.AveragePooling2D)
    assert model.get_layer("block_1_dropout").rate == 0.1
    assert isinstance(model.get_layer("block_2_spatial_dropout"), keras.layers.SpatialDropout2D)
    assert model.get_layer("dense_2_dropout").rate == 0.3


def test_a_network_without_blocks_or_dense_layers_is_logistic_regression():
    model = build_cnn(CNNOptions(blocks=0, dense_layers=0), (4, 4, 1), SOFTMAX)
    assert model.count_params() == 16 * 10 + 10


def test_l2_pooling_is_the_norm_of_each_window():
    # An identity convolution: one filter whose kernel is 1, and no activation to speak of on positive pixels.
    options = CNNOptions(blocks=1, filters=1, kernel_size=1, pooling="l2", dense_layers=0)
    model = build_cnn(options, (4, 4, 1), SOFTMAX)
    model.get_layer("block_1_conv").set_weights([np.ones((1, 1, 1, 1)), np.zeros(1)])
    pixels = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1) * 10
    inner = keras.Model(model.input, model.get_layer("flatten").input)
    expected = np.sqrt((pixels / 255).reshape(2, 2, 2, 2).transpose(0, 2, 1, 3).reshape(2, 2, 4) ** 2).astype("f8")
    expected = np.sqrt((expected**2).sum(-1))
    np.testing.assert_allclose(np.array(inner(pixels))[0, :, :, 0], expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "named"),
    [({"blocks": 4}, "--pool-size"), ({"kernel_size": 9, "padding": "valid"}, "--kernel-size")],
)
def test_feature_maps_that_run_out_are_an_error_that_names_the_option(options, named):
    with pytest.raises(InputError, match=named):
        build_cnn(CNNOptions(**options), (8, 8, 1), SOFTMAX)


@pytest.mark.parametrize(
    ("options", "classes", "expected"),
    [
        ({}, 3, ("softmax", "cross_entropy", 3)),
        ({"head": "sigmoid"}, 2, ("sigmoid", "cross_entropy", 1)),
        ({"head": "linear"}, 3, ("linear", "categorical_hinge", 3)),
        ({"head": "linear", "loss": "squared_hinge"}, 3, ("linear", "squared_hinge", 3)),
    ],
)
def test_loss_auto_follows_the_head(options, classes, expected):
    head = head_for(HeadOptions(**options), classes)
    assert (head.name, head.loss, head.units) == expected


def test_one_sigmoid_unit_for_three_classes_is_refused():
    with pytest.raises(InputError, match="2 classes"):
        head_for(HeadOptions(head="sigmoid"), 3)


def test_a_loss_that_does_not_fit_the_head_is_refused():
    with pytest.raises(InputError, match="--loss"):
        HeadOptions(head="softmax", loss="hinge")
