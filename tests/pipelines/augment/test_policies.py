import math

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipelines.augment import photometry
from pipelines.augment.draws import draws_of
from pipelines.augment.operations import NUMBER, OPERATIONS, changed
from pipelines.augment.policies import RANGES, WIDE_RANGES
from pipelines.augment.policy import NAMED, Policy, read_steps
from pipelines.augment.policy_steps import PAIRS, AutoAugment, RandAugment, TrivialAugment


def _photo(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    channels = [np.sin(x / 9 + shift) * np.cos(y / 7 - shift) for shift in range(3)]
    return np.round(127.5 + 100 * np.stack(channels, axis=-1)).astype(np.uint8)


def _drawn(step, count: int) -> dict[str, np.ndarray]:
    index = tf.range(count, dtype=tf.int64)
    return {name: values.numpy() for name, values in photometry.draw(step, draws_of(5, index, index)).items()}


def _one(name: str, level: float, photo: np.ndarray, ranges=RANGES) -> np.ndarray:
    images = tf.constant(photo[np.newaxis], tf.float32)
    return changed(images, tf.constant([NUMBER[name]]), tf.constant([level]), ranges, 128.0).numpy()[0]


@pytest.mark.parametrize("level", [-0.7, 0.5])
def test_geometric_operations_are_pillows_with_the_papers_ranges(level):
    height, width = 40, 56
    photo = _photo(height, width)
    cos, sin = math.cos(math.radians(30 * level)), math.sin(math.radians(30 * level))
    x, y = (math.copysign(math.floor(abs(level) * 150 / 331 * size), level) for size in (width, height))
    turned = (
        *(cos, -sin, width / 2 - cos * width / 2 + sin * height / 2),
        *(sin, cos, height / 2 - sin * width / 2 - cos * height / 2),
    )
    for name, matrix in {
        "shear_x": (1, 0.3 * level, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, 0.3 * level, 1, 0),
        "translate_x": (1, 0, -x, 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, -y),
        "rotate": turned,
    }.items():
        shown = Image.fromarray(photo).transform(
            (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=(128, 128, 128)
        )
        difference = np.abs(_one(name, level, photo) - np.asarray(shown, np.float32)).max(axis=-1)
        # At the image's edge Pillow takes the nearest pixel, this warp a blend with the fill: a line of pixels.
        assert np.mean(difference > 1) < 0.04, name
        assert np.mean(difference > 1) < np.mean(np.abs(photo - np.asarray(shown, np.float32)).max(axis=-1) > 1) / 5


def test_levels_mean_what_torchvision_means_by_them():
    photo = _photo(24, 20)
    assert np.allclose(_one("brightness", -0.5, photo), photo * 0.55, atol=1e-3)
    assert np.array_equal(_one("solarize", 0.6, photo), np.where(photo >= 102, 255 - photo, photo))
    assert np.array_equal(_one("solarize", -0.6, photo), np.where(photo >= 102, 255 - photo, photo))
    assert np.array_equal(_one("posterize", 0.5, photo), photo & 0b11111100)
    assert np.array_equal(_one("posterize", 1.0, photo, WIDE_RANGES), photo & 0b11000000)
    assert np.array_equal(_one("invert", 0.0, photo), 255 - photo)
    assert np.array_equal(_one("translate_x", 0.5, photo, WIDE_RANGES)[:, 16:], photo[:, :-16])
    assert (_one("translate_x", 0.5, photo, WIDE_RANGES)[:, :16] == 128).all()


def test_each_image_of_a_batch_gets_its_own_operation():
    photo = _photo(24, 20)
    count = len(OPERATIONS)
    levels = np.linspace(0.9, 0.4, count, dtype=np.float32)
    images = tf.constant(np.repeat(photo[np.newaxis], count, axis=0), tf.float32)
    together = changed(images, tf.range(count), tf.constant(levels), RANGES, 128.0).numpy()
    for name, level, image in zip(OPERATIONS, levels, together, strict=True):
        assert np.allclose(image, _one(name, float(level), photo), atol=1e-3), name
    assert np.array_equal(together[NUMBER["identity"]], photo)
    assert len(np.unique(together.reshape(count, -1), axis=0)) == count


def test_rand_augment_draws_each_operation_alike_and_either_sign():
    drawn = _drawn(RandAugment(layers=3, magnitude=9), 7_000)
    assert drawn["operation"].shape == drawn["level"].shape == (7_000, 3)
    counts = np.bincount(drawn["operation"].ravel(), minlength=len(OPERATIONS))
    assert counts[NUMBER["invert"]] == 0  # not one of the paper's 14
    assert np.all(np.abs(counts[:14] - 1_500) < 4 * math.sqrt(1_500))
    assert np.allclose(np.abs(drawn["level"]), 0.3) and abs((drawn["level"] > 0).mean() - 0.5) < 0.02
    # Layers and signs are independent of each other.
    assert abs(np.corrcoef(drawn["operation"][:, 0], drawn["operation"][:, 1])[0, 1]) < 0.04
    assert abs(np.corrcoef(drawn["operation"][:, 0], drawn["level"][:, 0])[0, 1]) < 0.04


def test_trivial_augment_draws_all_31_magnitudes_up_to_its_own():
    levels = np.abs(_drawn(TrivialAugment(magnitude=15), 7_000)["level"])
    values, counts = np.unique(np.round(levels * 60).astype(int), return_counts=True)
    assert values.tolist() == list(range(31)) and counts.min() > 150
    assert levels.max() == pytest.approx(0.5)


@pytest.mark.parametrize("policy", ["imagenet", "cifar"])
def test_auto_augment_applies_the_papers_pairs_with_their_probabilities(policy):
    pairs = PAIRS[policy]
    assert len(pairs) == 25 and {name for pair in pairs for name, _, _ in pair} <= NUMBER.keys()
    count = 20_000
    drawn = _drawn(AutoAugment(policy=policy), count)
    for layer in range(2):
        expected = np.zeros(len(OPERATIONS))
        for pair in pairs:
            name, probability, _ = pair[layer]
            expected[NUMBER[name]] += probability * count / 25
            expected[NUMBER["identity"]] += (1 - probability) * count / 25
        seen = np.bincount(drawn["operation"][:, layer], minlength=len(OPERATIONS))
        assert np.all(np.abs(seen - expected) <= 4 * np.sqrt(expected) + 1)
        levels = {(NUMBER[pair[layer][0]], np.float32(pair[layer][2])) for pair in pairs}
        applied = drawn["operation"][:, layer] > 0
        pairs_seen = zip(drawn["operation"][applied, layer], np.abs(drawn["level"][applied, layer]), strict=True)
        assert set(pairs_seen) <= levels


def test_auto_augments_tables_are_the_papers_where_it_was_looked_up():
    assert PAIRS["imagenet"][0] == (("posterize", 0.4, 8 / 9), ("rotate", 0.6, 1.0))
    assert PAIRS["imagenet"][14] == (("color", 0.6, 4 / 9), ("contrast", 1.0, 8 / 9))
    assert PAIRS["cifar"][3] == (("shear_y", 0.5, 8 / 9), ("translate_y", 0.7, 1.0))
    assert PAIRS["cifar"][24] == (("translate_y", 0.7, 1.0), ("auto_contrast", 0.9, 0.0))


def test_every_named_policy_is_read_and_describes_its_steps():
    for name, steps in NAMED.items():
        assert read_steps(name) == steps
    assert Policy(steps=NAMED["imagenet_rand_augment"]).describe() == "random_resized_crop, flip, rand_augment"
    assert read_steps([{"auto_augment": {"policy": "cifar"}}]) == NAMED["auto_augment_cifar"]
    assert read_steps([{"rand_augment": {"layers": 3, "magnitude": 15}}]) == (RandAugment(layers=3, magnitude=15),)
