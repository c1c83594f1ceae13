import subprocess
import sys
from pathlib import Path

import keras
import pytest

from base.errors import InputError
from models.backbones.table import BACKBONES, CIFAR_NAMES, CifarResNet, cifar_resnet, is_backbone, likeliest_backbone

ROOT = Path(__file__).parents[3]


def test_the_table_has_every_architecture_of_keras_applications_in_its_family():
    assert set(BACKBONES) == {name for name in dir(keras.applications) if name[0].isupper()}
    for name, backbone in BACKBONES.items():
        assert getattr(keras.applications, name).__module__.split(".")[-1] == backbone.family


def test_the_names_of_residual_networks_say_their_depth_and_width():
    assert cifar_resnet("resnet-20") == CifarResNet(20) and CifarResNet(20).blocks == 3
    assert cifar_resnet("wrn-16-8") == CifarResNet(16, 8) and CifarResNet(16, 8).blocks == 2
    assert cifar_resnet("ResNet50") is None and cifar_resnet("resnet20") is None
    assert all(is_backbone(name) for name in (*BACKBONES, *CIFAR_NAMES))
    assert not is_backbone("cnn")


@pytest.mark.parametrize("name", ["resnet-21", "resnet-2", "wrn-15-8", "wrn-4-8", "wrn-16-0"])
def test_a_depth_that_gives_no_whole_blocks_is_refused(name):
    with pytest.raises(InputError, match=name):
        cifar_resnet(name)


@pytest.mark.parametrize(
    ("received", "meant"),
    [("vgg16", "VGG16"), ("mobilenet_v2", "MobileNetV2"), ("resnet20", "resnet-20"), ("Xeption", "Xception")],
)
def test_the_name_that_was_meant_is_found_whatever_the_case(received, meant):
    assert likeliest_backbone(received) == f"Did you mean {meant!r}?"


def test_table_options_and_freezing_leave_tensorflow_alone():
    code = (
        "import sys, models.backbones.options, models.backbones.freezing; "
        "print({'tensorflow', 'keras', 'numpy'} & set(sys.modules) or 'light')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.stdout == "light\n", result.stderr
