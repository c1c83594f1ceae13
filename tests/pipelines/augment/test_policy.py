import pytest

from base.errors import InputError
from pipelines.augment import steps
from pipelines.augment.options import AugmentOptions
from pipelines.augment.policy import NAMED, STEPS, name_of, read_steps, scaled


def test_names_lists_and_policies_are_read():
    assert read_steps("none") == ()
    assert read_steps("imagenet") == NAMED["imagenet"]
    assert read_steps("flip, rotation") == (steps.Flip(), steps.Rotation())
    assert read_steps(["flip", {"rotation": {"degrees": 30}}, {"zoom": {"scale": [0.5, 2]}}]) == (
        steps.Flip(),
        steps.Rotation(degrees=30),
        steps.Zoom(scale=(0.5, 2)),
    )


def test_every_step_has_defaults_a_name_of_its_own_and_fades_with_its_strength():
    for name, cls in STEPS.items():
        assert name_of(cls) == name
        assert scaled([cls()], 1.0) == (cls(),)
        assert isinstance(cls().scaled(0.0), cls) and isinstance(cls().scaled(2.0), cls)


def test_strength_widens_every_range():
    policy = AugmentOptions(augment="random_resized_crop,rotation,shift", augment_strength=0.5).policy()
    assert policy.steps[1] == steps.Rotation(degrees=7.5)
    assert policy.steps[2] == steps.Shift(width=0.05, height=0.05)
    assert policy.steps[0].area == pytest.approx((0.54, 1.0))
    assert AugmentOptions(augment="rotation", augment_strength=0.0).policy() is None
    assert AugmentOptions().policy() is None


@pytest.mark.parametrize(
    ("augment", "named"),
    [
        ("rotaton", ["rotaton", "rotation"]),
        ([{"rotation": {"degree": 3}}], ["degree", "degrees"]),
        ([{"rotation": {"degrees": -3}}], ["degrees", "-3"]),
        ([{"rotation": {"degrees": True}}], ["rotation.degrees", "a number"]),
        ([{"zoom": {"scale": [1.2, 0.8]}}], ["scale", "low"]),
        ([{"zoom": {"scale": 1.2}}], ["zoom.scale"]),
        ([{"zoom": {}, "flip": {}}], ["NAME"]),
        ([3], ["NAME"]),
        (["flip", "rotation", "crop"], ["crop", "first"]),
        (["crop", "random_resized_crop"], ["random_resized_crop", "first"]),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_in_one_line(augment, named):
    with pytest.raises(InputError) as error:
        read_steps(augment)
    assert all(text in str(error.value) for text in named), error.value
    assert "\n" not in str(error.value)
