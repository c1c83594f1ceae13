from pathlib import Path

import pytest

from base.errors import InputError
from models.backbones.options import BackboneOptions


@pytest.mark.parametrize(
    ("weights", "name", "expected"),
    [
        ("auto", "VGG16", "imagenet"),
        ("auto", "wrn-16-8", None),
        ("none", "VGG16", None),
        ("imagenet", "VGG16", "imagenet"),
        ("there/my.weights.h5", "resnet-20", Path("there/my.weights.h5")),
    ],
)
def test_weights_are_imagenets_none_or_a_files(weights, name, expected):
    assert BackboneOptions(weights=weights).weights_of(name) == expected


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"weights": "imagnet"}, ["--weights", "Did you mean 'imagenet'?"]),
        ({"weights": "weights.txt"}, ["--weights", ".keras"]),
        ({"width": 0.0}, ["--width"]),
        ({"backbone_norm_momentum": 1.0}, ["--backbone-norm-momentum"]),
        ({"head_units": (256, 0)}, ["--head-units"]),
        ({"head_dropout": 1.0}, ["--head-dropout"]),
    ],
)
def test_what_no_backbone_takes_is_refused(options, named):
    with pytest.raises(InputError) as error:
        BackboneOptions(**options)
    assert all(part in str(error.value) for part in named), error.value


@pytest.mark.parametrize(
    ("options", "name", "named"),
    [
        ({"width": 0.5}, "VGG16", ["--width", "MobileNetV2"]),
        ({"width": 0.5}, "wrn-16-8", ["--width", "wrn-16-8"]),
        ({"width": 0.4}, "MobileNetV2", ["0.35", "0.4", "ImageNet"]),
        ({"weights": "imagenet"}, "resnet-20", ["resnet-20", "--weights none"]),
    ],
)
def test_what_a_backbone_does_not_come_with_is_refused_before_it_is_built(options, name, named):
    with pytest.raises(InputError) as error:
        BackboneOptions(**options).require_fitting(name)
    assert all(part in str(error.value) for part in named), error.value


def test_any_width_goes_without_imagenets_weights():
    for options in (BackboneOptions(weights="none", width=0.4), BackboneOptions(width=0.35)):
        options.require_fitting("MobileNetV2")
    with pytest.raises(InputError, match="width=0.4"):
        BackboneOptions(width=0.4).require_fitting("MobileNetV2")
