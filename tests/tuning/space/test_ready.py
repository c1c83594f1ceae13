import pytest

from base.errors import InputError
from base.options import parse, to_dict
from scripts.training.options import GROUPS, RunOptions
from tuning.space.check import require_buildable
from tuning.space.parameters import Choice
from tuning.space.ready import NAMES, ready_space
from tuning.space.space import combinations, describe, narrowed, settings

DEFAULTS = to_dict(*parse("try.py", "", GROUPS, ["--data", "d", "--run", "r"]).values())
SEARCHED = {title: group for title, group in GROUPS.items() if group is not RunOptions}


def values(name: str, image_size: int = 64, options: dict | None = None, augments: bool = False) -> dict:
    ready = ready_space(name, image_size, {**DEFAULTS, **(options or {})}, augments=augments)
    return ready.fixed | {one.name: one.values for one in ready.space if isinstance(one, Choice)}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("augments", [False, True])
def test_training_takes_every_value_of_every_ready_space(name, augments):
    ready = ready_space(name, 64, DEFAULTS, augments=augments)
    require_buildable(ready.space, {**DEFAULTS, **ready.fixed}, SEARCHED)


@pytest.mark.parametrize(
    ("image_size", "options", "blocks"),
    [
        (8, {}, (1, 2, 3)),
        (28, {}, (1, 2, 3, 4)),
        (96, {}, (3, 4, 5)),
        (1024, {}, 5),
        (1, {}, 0),
        (8, {"padding": "valid"}, 1),
        (28, {"stride": 2}, (1, 2)),
        (28, {"pooling": "none"}, (1, 2, 3, 4, 5)),
    ],
)
def test_blocks_are_as_many_as_the_images_bear(image_size, options, blocks):
    assert values("cnn", image_size, options)["blocks"] == blocks


@pytest.mark.parametrize("replicas", [2, 3, 8])
def test_replicas_can_share_every_batch(replicas):
    batch_sizes = values("cnn", options={"replicas": replicas})["batch_size"]
    assert len(batch_sizes) == 3
    assert all(size % replicas == 0 for size in batch_sizes)
    assert values("cnn", options={"replicas": 128})["batch_size"] == 128


def test_augmentation_is_searched_as_far_as_it_is_not_chosen():
    light = ready_space("cnn", 64, DEFAULTS, augments=False).space
    assert "augment_strength: 0.5, 1.0, 1.5 where augment is light" in describe(light)
    assert not any("augment" in line for line in describe(narrowed(light, {"augment": "none"})))
    own = values("cnn", options={"augment": "imagenet"}, augments=True)
    assert "augment" not in own and own["augment_strength"][0] == 0


def test_the_grid_has_27_combinations_whose_size_is_that_of_convolutions_and_dense_layers():
    ready = ready_space("cnn_grid", 64, DEFAULTS, augments=False)
    assert combinations(ready.space) == 27
    assert ready.fixed == {"convolutions": 1, "filter_growth": 1.0}  # all convolutions as wide as the first
    assert settings(ready.space, {"filters": 128}) == {"filters": 128, "dense_units": 128}


def test_what_is_tuned_of_a_backbone_is_searched_where_something_is():
    space = ready_space("transfer", 64, DEFAULTS, augments=False).space
    left = narrowed(space, {"unfreeze": ["none"], "model": "VGG16"})
    assert {parameter.name for parameter in left} == {"head_pool", "head_units", "head_dropout", "learning_rate"}


def test_images_too_small_for_the_backbones_are_refused_and_so_is_an_unknown_space():
    with pytest.raises(InputError, match="at least 32 for the space transfer. Received: image_size=28"):
        ready_space("transfer", 28, DEFAULTS, augments=False)
    assert ready_space("transfer", 28, {**DEFAULTS, "model": "resnet-20"}, augments=False).space
    with pytest.raises(InputError, match="space='cnn_gird'. Did you mean 'cnn_grid'?"):
        ready_space("cnn_gird", 28, DEFAULTS, augments=False)
