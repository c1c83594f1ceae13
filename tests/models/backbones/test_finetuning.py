import pytest

from base.errors import InputError
from models.backbones.finetuning import FineTuningOptions


def phases(epochs=10, **options):
    return [
        (phase.first, phase.until, phase.unfreeze, phase.stage) for phase in FineTuningOptions(**options).phases(epochs)
    ]


def test_a_run_without_stages_is_one():
    assert phases() == [(0, 10, "all", (0, 10))]
    assert phases(unfreeze=("0.0",)) == [(0, 10, "none", (0, 10))]


def test_stages_follow_each_other():
    expected = [(0, 3, "none", (0, 3)), (3, 7, "0.3", (3, 7))]
    assert phases(epochs=7, stages="head:3,finetune:4", unfreeze=("0.3",)) == expected
    assert FineTuningOptions(stages="head:3, finetune:4").epochs == 7


def test_gradual_unfreezing_counts_the_epochs_of_the_run_and_shares_its_stage():
    expected = [(0, 2, "none", (0, 10)), (2, 5, "0.1", (0, 10)), (5, 10, "block5", (0, 10))]
    assert phases(unfreeze=("none:2", "0.1:5", "block5")) == expected
    expected = [(0, 3, "none", (0, 3)), (3, 5, "0.1", (3, 10)), (5, 10, "all", (3, 10))]
    assert phases(stages="head:3,finetune:7", unfreeze=("0.1:5", "all")) == expected


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"unfreeze": ()}, "--unfreeze"),
        ({"unfreeze": ("1.5",)}, "unfreeze='1.5'"),
        ({"unfreeze": ("none:2",)}, "unfreeze='none:2'"),
        ({"unfreeze": ("none:3", "0.1:2", "all")}, "later epoch"),
        ({"unfreeze": ("none", "all")}, "later epoch"),
        ({"stages": "head:0,finetune:3"}, "stages='head:0"),
        ({"stages": "heads:3"}, "stages='heads:3'"),
        ({"stages": ""}, "stages=''"),
        ({"finetune_rate": 0.0}, "--finetune-rate"),
        ({"first_layer_rate": 1.5}, "--first-layer-rate"),
    ],
)
def test_what_makes_no_sense_is_refused(options, named):
    with pytest.raises(InputError, match=named):
        FineTuningOptions(**options)


def test_a_head_alone_can_be_trained():
    assert phases(epochs=5, stages="head:5") == [(0, 5, "none", (0, 5))]
    with pytest.raises(InputError, match="unused=\\['0.3'\\]"):
        phases(epochs=5, stages="head:5", unfreeze=("0.3",))


def test_parts_without_an_epoch_are_refused():
    with pytest.raises(InputError, match="'none:2'"):  # over before its stage begins; the head's own is another
        phases(epochs=15, stages="head:5,finetune:10", unfreeze=("none:2", "0.3"))
    with pytest.raises(InputError, match="unused=\\['0.3'\\]"):
        phases(epochs=3, unfreeze=("0.3:2", "0.1:4", "0.3"))
    with pytest.raises(InputError, match="0.5"):
        phases(epochs=5, unfreeze=("none:5", "0.5"))
    with pytest.raises(InputError, match="0.1:2"):
        phases(stages="head:3,finetune:7", unfreeze=("0.1:2", "0.5"))
