import numpy as np
import pytest

from base.errors import InputError
from models.backbones.build import backbone_layers, backbone_of, build_backbone_model
from models.backbones.freezing import require_form, unfreeze, unfrozen
from models.backbones.options import BackboneOptions
from models.heads import Head

NAMES = ["stem", "block_1_conv", "block_1_norm", "block_2_conv", "block_10_conv", "block_10_norm", "top", "top_norm"]


@pytest.fixture
def model():
    options = BackboneOptions(head_units=(4,))
    return build_backbone_model("resnet-8", options, (8, 8, 3), Head("softmax", "cross_entropy", 2))


@pytest.mark.parametrize(
    ("what", "count"),
    [
        ("none", 0),
        ("0", 0),
        ("0.0", 0),
        ("0.01", 1),
        ("0.25", 2),
        ("1.0", 8),
        ("1", 1),
        ("3", 3),
        ("all", 8),
        ("top", 2),
        ("block_10", 4),
        ("block_1", 7),
        ("block_10_norm", 3),
    ],
)
def test_the_last_layers_are_unfrozen_by_share_number_or_name(what, count):
    assert unfrozen(NAMES, what) == NAMES[len(NAMES) - count :]


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("1.5", "share"),
        ("-0.5", "share"),
        ("", "share"),
        ("9", "8 layers"),
        ("block_3", "block_"),
        ("blok_2_conv", "'block_2_conv'"),
        ("x", "Some of its layers"),
    ],
)
def test_what_is_none_of_these_is_refused(what, named):
    with pytest.raises(InputError, match=named):
        unfrozen(NAMES, what)


def test_block_1_is_not_block_10():
    with pytest.raises(InputError, match="block_10_conv"):
        unfrozen(["stem", "block_10_conv"], "block_1")


def test_the_form_is_checked_before_there_is_a_model():
    require_form("block_3")
    with pytest.raises(InputError, match="--unfreeze"):
        require_form("2.0")


def test_the_head_is_trained_whatever_is_frozen(model):
    assert unfreeze(model, "none") == []
    assert [variable.path for variable in model.trainable_variables] == [
        "head_dense_1/kernel",
        "head_dense_1/bias",
        "head/kernel",
        "head/bias",
    ]
    everything = unfreeze(model, "all")
    assert everything == [layer.name for layer in backbone_layers(model)]
    assert all(layer.trainable for layer in model.layers)
    assert len(model.trainable_variables) == 4 + 7 + 2 * 7  # convolutions, and each one's normalisation


def test_frozen_batch_normalisation_infers_in_training_steps_and_the_other_trains(model):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype(np.float32)
    names = unfreeze(model, "stage_3")
    assert names[0] == "stage_3_block_1_conv_1" and len(names) == 4
    before = {layer.name: [np.array(w) for w in layer.weights] for layer in backbone_layers(model)}
    model(pixels, training=True)
    moved = {
        layer.name
        for layer in backbone_layers(model)
        if any((old != np.array(new)).any() for old, new in zip(before[layer.name], layer.weights, strict=True))
    }
    assert moved == {"stage_3_block_1_conv_1_norm", "stage_3_block_1_conv_2_norm"}

    unfreeze(model, "none")
    backbone = backbone_of(model)
    np.testing.assert_array_equal(np.array(backbone(pixels, training=True)), np.array(backbone(pixels)))


def test_batch_normalisation_can_stay_frozen_among_layers_that_are_trained(model):
    names = unfreeze(model, "stage_3", batch_norm=False)
    assert names == ["stage_3_block_1_conv_1", "stage_3_block_1_conv_2"]
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype(np.float32)
    backbone = backbone_of(model)
    np.testing.assert_array_equal(np.array(backbone(pixels, training=True)), np.array(backbone(pixels)))
