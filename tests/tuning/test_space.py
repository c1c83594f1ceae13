import pytest

from tuning.space import Choice, When, cnn_space, narrowed

DEFAULTS = {
    "replicas": None,
    "kernel_size": 3,
    "convolutions": 1,
    "stride": 1,
    "padding": "same",
    "pooling": "max",
    "pool_size": 2,
}


def searched(space) -> dict:
    return {parameter.name: parameter for parameter in space}


@pytest.mark.parametrize(
    ("image_size", "options", "blocks"),
    [
        (8, {}, (1, 2, 3)),
        (28, {}, (1, 2, 3, 4)),
        (96, {}, (3, 4, 5)),
        (1024, {}, (5,)),
        (1, {}, (0,)),
        (8, {"padding": "valid"}, (1,)),
        (28, {"stride": 2}, (1, 2)),
        (28, {"pooling": "none"}, (1, 2, 3, 4, 5)),
    ],
)
def test_blocks_are_as_many_as_the_images_bear(image_size, options, blocks):
    assert searched(cnn_space(image_size, {**DEFAULTS, **options}))["blocks"].values == blocks


@pytest.mark.parametrize("replicas", [2, 3, 8])
def test_replicas_can_share_every_batch(replicas):
    batch_sizes = searched(cnn_space(28, {**DEFAULTS, "replicas": replicas}))["batch_size"].values
    assert len(batch_sizes) == 3
    assert all(size % replicas == 0 for size in batch_sizes)


def test_a_fixed_option_is_not_searched_and_settles_what_depends_on_it():
    space, fixed = narrowed(cnn_space(28, DEFAULTS), {"optimizer": "sgd", "dense_layers": 0, "epochs": 3})
    names = [parameter.name for parameter in space]
    assert names.count("learning_rate") == 1
    assert searched(space)["learning_rate"].high == 0.3
    assert searched(space)["learning_rate"].when is None
    assert not {"optimizer", "weight_decay", "dense_layers", "dense_units", "epochs"} & {*names}
    assert fixed == {"optimizer": "sgd", "dense_layers": 0, "epochs": 3}


def test_an_option_with_one_value_left_is_fixed_and_settles_what_depends_on_it():
    dependent = Choice(name="units", values=(1, 2), when=When(name="layers", values=(1,)))
    space, fixed = narrowed((Choice(name="layers", values=(1,)), dependent), {})
    assert space == (Choice(name="units", values=(1, 2)),)
    assert fixed == {"layers": 1}
