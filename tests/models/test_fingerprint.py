import keras
import pytest

from models.backbones.build import backbone_of, build_backbone_model
from models.backbones.freezing import unfreeze
from models.backbones.options import BackboneOptions
from models.fingerprint import layers_fingerprint, weights_fingerprint
from models.heads import Head
from models.standardise import Standardisation

THREE = Head("softmax", "cross_entropy", 3)


def backbone(size=8, seed=0, standardisation=None, **options):
    keras.utils.set_random_seed(seed)
    options = BackboneOptions(**options)
    how = {} if standardisation is None else {"standardisation": standardisation}
    model = build_backbone_model("resnet-8", options, (size, size, 3), THREE, **how)
    return model, backbone_of(model)


def test_equal_weights_have_one_name_wherever_they_came_from(tmp_path):
    model, features = backbone()
    name = weights_fingerprint(features)
    model.save_weights(tmp_path / "all.weights.h5")
    _, other = backbone(seed=1)
    assert weights_fingerprint(other) != name
    again, features_again = backbone(seed=1)
    again.load_weights(tmp_path / "all.weights.h5")
    assert weights_fingerprint(features_again) == name
    last = features_again.weights[-1]
    values = last.numpy()
    values[3] += 1e-6
    last.assign(values)
    assert weights_fingerprint(features_again) != name


def test_training_the_head_or_freezing_changes_nothing():
    model, features = backbone(head_units=(4,))
    names = layers_fingerprint(features), weights_fingerprint(features)
    model.get_layer("head").set_weights([w + 1 for w in model.get_layer("head").get_weights()])
    unfreeze(model, "none")
    assert (layers_fingerprint(backbone_of(model)), weights_fingerprint(backbone_of(model))) == names
    _, other_head = backbone(head_dropout=0.5, backbone_norm_momentum=0.5)
    assert layers_fingerprint(other_head) == names[0]


@pytest.mark.parametrize(
    "other",
    [{"size": 16}, {"head_pool": "max"}, {"standardisation": Standardisation(mean=(0.5, 0.4, 0.3))}],
)
def test_what_is_done_to_images_has_a_say_in_the_name_of_the_layers(other):
    assert layers_fingerprint(backbone(**other)[1]) != layers_fingerprint(backbone()[1])


def test_precision_has_a_say_in_the_name_of_the_layers():
    full = layers_fingerprint(backbone()[1])
    keras.config.set_dtype_policy("mixed_bfloat16")
    assert layers_fingerprint(backbone()[1]) != full


def test_fitted_numbers_have_a_say_in_the_name_of_the_layers():
    one, other = (backbone(standardisation=Standardisation(mean=(0.5, mean, 0.3)))[1] for mean in (0.4, 0.41))
    assert layers_fingerprint(one) != layers_fingerprint(other)
    assert weights_fingerprint(one) == weights_fingerprint(other)
