"""Against Keras' own ImageDataGenerator: with its parameters pixels are equal; what is drawn is distributed alike."""

import numpy as np
import pytest
import tensorflow as tf
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from scipy import stats

from base.errors import InputError
from base.options import parse
from pipelines.augment import generator, photometry
from pipelines.augment.augmentation import pixels
from pipelines.augment.draws import draws_of
from pipelines.augment.generator_options import GeneratorOptions, joined_policy
from pipelines.augment.generator_steps import GeneratorAffine
from pipelines.augment.geometry import Frame
from pipelines.augment.options import AugmentOptions
from pipelines.augment.pixel_steps import Brightness, ChannelShift
from pipelines.augment.warp import warp

pytestmark = pytest.mark.filterwarnings("ignore")  # of scipy.ndimage.interpolation, under the old name that Keras uses
MANY = 4000


def draws(count=MANY, seed=3):
    return draws_of(seed, tf.zeros([count], tf.int64), tf.range(count, dtype=tf.int64))


def photos(count, size=40, channels=3):
    return np.random.default_rng(count).integers(0, 256, (count, size, size, channels)).astype(np.float32)


@pytest.mark.parametrize("fill", ["nearest", "reflect", "constant", "wrap"])
def test_given_parameters_the_warp_equals_keras_affine_transform(fill):
    images, rng = photos(8), np.random.default_rng(1)
    given = [
        dict(zip(("theta", "tx", "ty", "shear", "zx", "zy"), values, strict=True))
        for values in rng.uniform([-40, -6, -6, -20, 0.8, 0.8], [40, 6, 6, 20, 1.2, 1.2], (8, 6))
    ]
    keras_own = ImageDataGenerator(fill_mode=fill, cval=10)
    expected = np.stack([keras_own.apply_transform(image, values) for image, values in zip(images, given, strict=True)])
    # What Keras calls tx moves columns, although it is drawn from height_shift_range.
    names = ("theta", "tx", "ty", "shear", "zx", "zy")
    parameters = generator.Affine(*(tf.constant([v[name] for v in given], tf.float32) for name in names))
    seen = warp(tf.constant(images), generator.affine_matrices(parameters), (40, 40), fill=fill, fill_value=10).numpy()
    difference = np.abs(seen - expected).max(axis=-1)
    if fill in ("nearest", "reflect"):
        assert difference.max() < 0.01
    else:  # scipy blends no pixel with the constant, and its "wrap" repeats every n - 1 pixels: inside they agree
        assert (difference > 0.01).mean() < (0.05 if fill == "constant" else 0.35)
        assert difference[:, 15:25, 15:25].max() < 0.01


def test_a_policy_of_all_options_equals_keras_with_the_same_draws():
    options = GeneratorOptions(
        rotation_range=30,
        width_shift_range=0.1,
        height_shift_range=3.5,
        shear_range=15,
        zoom_range=(0.7, 1.1),
        horizontal_flip=True,
        vertical_flip=True,
        channel_shift_range=60,
        fill_mode="reflect",
    )
    images, own = photos(16), draws(16)
    policy = options.policy()
    seen = pixels(policy, tf.constant(images.astype(np.uint8)), own, (40, 40)).numpy()
    affine, _, shift = policy.steps
    drawn = generator.affine_parameters(affine, own.stream(0), Frame(40, 40, 40, 40))
    flips = own.stream(1).uniform(2).numpy() < 0.5
    intensity = photometry.draw(shift, own.stream(2))["shift"].numpy()
    assert 2 < flips[:, 0].sum() < 14 and 2 < flips[:, 1].sum() < 14
    keras_own = ImageDataGenerator(fill_mode="reflect")
    for i, image in enumerate(images):
        values = dict(zip(("theta", "tx", "ty", "shear", "zx", "zy"), (float(part[i]) for part in drawn), strict=True))
        values |= {
            "flip_horizontal": flips[i, 0],
            "flip_vertical": flips[i, 1],
            "channel_shift_intensity": intensity[i],
        }
        assert np.abs(seen[i] - keras_own.apply_transform(image, values)).max() < 0.01


@pytest.mark.parametrize("channels", [1, 3])
def test_brightness_is_keras_own_within_a_grey_level(channels):
    images = photos(4, channels=channels)
    factors = [0.0, 0.4, 1.0, 1.9]
    seen = photometry.apply(Brightness(), tf.constant(images), {"factor": tf.constant(factors)}).numpy()
    for image, factor, own in zip(images, factors, seen, strict=True):
        assert np.abs(own - ImageDataGenerator().apply_transform(image, {"brightness": factor})).max() <= 1


RANGES = [
    {"rotation_range": 30, "shear_range": 12.5, "zoom_range": 0.3},
    {"zoom_range": [0.5, 0.9], "width_shift_range": 0.2, "height_shift_range": 0.05},
    {"width_shift_range": 3, "height_shift_range": 1},
    {"width_shift_range": 5.0, "height_shift_range": [1, 4, 9]},
    {"width_shift_range": [0.1, 0.3], "height_shift_range": 1.0},
]


@pytest.mark.parametrize("ranges", RANGES, ids=str)
def test_drawn_parameters_are_distributed_as_keras_draws_them(ranges):
    np.random.seed(5)
    keras_own = ImageDataGenerator(**ranges)
    theirs = [keras_own.get_random_transform((40, 60, 3)) for _ in range(MANY)]
    (step,) = GeneratorOptions(**{k: tuple(v) if isinstance(v, list) else v for k, v in ranges.items()}).steps()
    ours = generator.affine_parameters(step, draws(), Frame(40, 60, 40, 60))
    # tx is drawn from height_shift_range.
    for name, values in zip(("theta", "ty", "tx", "shear", "zx", "zy"), ours, strict=True):
        expected = np.array([drawn[name] for drawn in theirs], np.float32)
        assert stats.ks_2samp(expected, values.numpy(), method="asymp").pvalue > 0.001, name
        assert set(np.unique(expected)) == set(np.unique(values)) or len(np.unique(expected)) > 100, name


def test_each_drawn_parameter_is_independent_of_the_others():
    step = GeneratorAffine(
        rotation=1,
        shear=1,
        zoom=(0.5, 1.5),
        width_shift=generator.ShiftRange(most=1.0),
        height_shift=generator.ShiftRange(most=1.0),
    )
    drawn = np.stack(generator.affine_parameters(step, draws(), Frame(1, 1, 1, 1)))
    assert np.abs(np.corrcoef(drawn) - np.eye(6)).max() < 0.06


def test_drawn_flips_brightness_and_channel_shifts_are_distributed_as_keras_draws_them():
    np.random.seed(6)
    given = {"brightness_range": (0.4, 1.5), "channel_shift_range": 30.0, "horizontal_flip": True}
    theirs = [ImageDataGenerator(**given).get_random_transform((9, 9, 3)) for _ in range(MANY)]
    flip, shift, brightness = GeneratorOptions(**given).steps()
    for name, step, own in (("channel_shift_intensity", shift, "shift"), ("brightness", brightness, "factor")):
        expected = np.array([drawn[name] for drawn in theirs])
        assert stats.ks_2samp(expected, photometry.draw(step, draws())[own].numpy(), method="asymp").pvalue > 0.001, (
            name
        )
    assert (flip.horizontal, flip.vertical) == (True, False)
    assert abs(np.mean([drawn["flip_horizontal"] for drawn in theirs]) - 0.5) < 0.05


def test_width_moves_images_sideways_and_height_up_and_down_as_fractions_of_their_own_size():
    image = np.zeros((1, 20, 40, 1), np.uint8)
    image[0, 10, 20] = 255
    for option, axis, size in (("width_shift_range", 1, 40), ("height_shift_range", 0, 20)):
        policy = GeneratorOptions(**{option: (0.2,)}, fill_mode="constant").policy()
        seen = pixels(policy, tf.constant(image), draws(1), (20, 40)).numpy()[0, :, :, 0]
        place = np.argwhere(seen > 200)
        assert place.shape == (1, 2) and abs(place[0, axis] - size // 2) == 0.2 * size
        assert place[0, 1 - axis] == 30 - size // 2


def test_strength_scales_every_range_and_zero_leaves_the_images():
    options = GeneratorOptions(
        rotation_range=10, width_shift_range=0.8, zoom_range=0.2, channel_shift_range=5, brightness_range=(0.5, 1.5)
    )
    affine, shift, brightness = options.policy(2.0).steps
    assert (affine.rotation, affine.width_shift.most, affine.width_shift.of_size) == (20, 1.6, True)
    assert affine.zoom == pytest.approx((0.6, 1.4)) and shift == ChannelShift(shift=10)
    assert brightness.factor == (0.0, 2.0)
    assert options.policy(0) is None


def test_all_options_compile_for_any_number_of_channels_and_for_bfloat16():
    options = GeneratorOptions(
        rotation_range=30, horizontal_flip=True, channel_shift_range=20, brightness_range=(0.9, 1.1), fill_mode="wrap"
    )
    images = tf.constant(photos(4, channels=5).astype(np.uint8))
    for dtype, apart in ((tf.float32, 0.01), (tf.bfloat16, 4)):

        def augmented(images, dtype=dtype):
            return pixels(options.policy(), images, draws(4), (40, 40), dtype=dtype)

        eager, compiled = augmented(images), tf.function(augmented, jit_compile=True)(images)
        assert compiled.dtype == dtype and compiled.shape == images.shape
        assert np.abs(np.array(eager, np.float32) - np.array(compiled, np.float32)).max() < apart


def parsed(*argv):
    options = parse("try.py", "", {"augmentation": AugmentOptions, "generator": GeneratorOptions}, argv)
    return joined_policy(*options.values()), options["generator"]


def test_a_recipe_says_what_image_data_generator_was_given(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "rotation_range: 40\nwidth_shift_range: 0.2\nheight_shift_range: 3\nzoom_range: [0.8, 1.2]\n"
        "brightness_range: [0.5, 1]\nfill_mode: constant\ncval: 9\nrescale: 1/255\n"
    )
    policy, options = parsed("--config", str(recipe))
    affine, brightness = policy.steps
    assert affine.rotation == 40 and affine.zoom == (0.8, 1.2) and affine.width_shift.of_size
    assert affine.height_shift.values == (0, 1, 2) and brightness.factor == (0.5, 1)
    assert (policy.fill, policy.fill_value) == ("constant", 9) and options.factor() == 1 / 255
    assert parsed("--zoom-range", "[0.8, 1.2]", "--horizontal-flip")[0].describe() == "generator_affine, flip"
    assert parsed("--augment", "light")[0] == AugmentOptions(augment="light").policy()
    assert parsed()[0] is None


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--zoom-range", "[0.8, 1, 1.2]"], "--zoom-range"),
        (["--zoom-range", "[1.2, 0.8]"], "--zoom-range"),
        (["--zoom-range", "1.5"], "--zoom-range"),
        (["--rotation-range", "-3"], "--rotation-range"),
        (["--width-shift-range", "-0.1"], "--width-shift-range"),
        (["--height-shift-range", "[]"], "--height-shift-range"),
        (["--shear-range", "nan"], "--shear-range"),
        (["--brightness-range", "[1.5, 0.5]"], "--brightness-range"),
        (["--brightness-range", "0.5"], "--brightness-range"),
        (["--channel-shift-range", "-1"], "--channel-shift-range"),
        (["--fill-mode", "mirror"], "--fill-mode"),
        (["--cval", "256"], "--cval"),
        (["--rescale", "0"], "--rescale"),
        (["--rescale", "1/0"], "--rescale"),
        (["--rescale", "255th"], "--rescale"),
        (["--zca-epsilon", "0"], "--zca-epsilon"),
        (["--rotation-rang", "3"], "--rotation-range"),
        (["--rotation-range", "3", "--augment", "light"], "augment"),
        (["--rotation-range", "3", "--augment-fill", "wrap"], "--fill-mode"),
        (["--augment", "light", "--fill-mode", "wrap"], "--augment-fill"),
        (["--cval", "3"], "cval"),
    ],
)
def test_bad_values_are_one_line_that_names_the_option(argv, named):
    with pytest.raises(InputError) as error:
        parsed(*argv)
    assert named in str(error.value) and "\n" not in str(error.value)
