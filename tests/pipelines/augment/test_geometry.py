import math

import numpy as np
import pytest
import tensorflow as tf

from pipelines.augment import geometry, steps
from pipelines.augment.draws import draws_of
from pipelines.augment.geometry import Frame
from pipelines.augment.warp import warp

GENERATOR = np.random.default_rng(0)
MANY = 4000


def _draws(count):
    return draws_of(1, tf.zeros(count, tf.int64), tf.range(count, dtype=tf.int64))


def _shown(images, matrix, size=None, **options):
    return warp(tf.constant(images), matrix, size or images.shape[1:3], **options).numpy()


def _images(height, width, count=1):
    return GENERATOR.integers(0, 256, (count, height, width, 3), np.uint8)


def test_a_quarter_turn_and_a_shift_go_where_their_docstrings_say():
    images = _images(8, 8)
    turned = _shown(images, geometry.rotation(tf.constant([math.pi / 2])))
    np.testing.assert_allclose(turned[0], np.rot90(images[0], 1), atol=0.01)  # anticlockwise: places turn clockwise
    moved = _shown(images, geometry.translation(tf.constant([2.0]), tf.constant([1.0])))
    np.testing.assert_array_equal(moved[0, :-1, :-2], images[0, 1:, 2:])


def test_a_chain_shows_what_its_steps_show_one_after_the_other():
    # A smooth picture: interpolated twice it is nearly what it is when interpolated once.
    y, x = np.mgrid[:48, :40].astype(np.float32)
    image = np.stack([x * 3, y * 3, 60 + x + y], axis=-1)[np.newaxis]
    chain = [steps.Rotation(degrees=20), steps.Zoom(scale=(0.8, 1.3)), steps.Shear(x=10, y=5)]
    draws = [_draws(1).stream(place) for place in range(3)]
    frame = Frame(48, 40, 48, 40)
    once = _shown(image, geometry.matrices(chain, draws, frame))
    one_by_one = image
    for step, own in zip(chain, draws, strict=True):
        one_by_one = _shown(one_by_one, geometry.draw(step, own, frame))
    middle = np.s_[0, 14:34, 12:28]
    np.testing.assert_allclose(once[middle], one_by_one[middle], atol=0.1)


def test_flips_are_exact_and_take_half_of_the_images():
    images = _images(5, 7, 400)
    both = steps.Flip(horizontal=True, vertical=True)
    shown = _shown(images, geometry.draw(both, _draws(400), Frame(5, 7, 5, 7)))
    ways = {
        "as it is": images,
        "left to right": images[:, :, ::-1],
        "top to bottom": images[:, ::-1],
        "both": images[:, ::-1, ::-1],
    }
    taken = {name: (shown == way).all(axis=(1, 2, 3)) for name, way in ways.items()}
    assert np.sum(list(taken.values()), axis=0).min() == 1
    assert all(70 < way.sum() < 130 for way in taken.values())


def test_a_crop_is_a_window_of_the_padded_image_and_every_place_comes():
    images = _images(6, 6, 300)
    step = steps.Crop(padding=2)
    options = {"fill": "constant", "fill_value": 0.0}
    shown = _shown(images, geometry.draw(step, _draws(300), Frame(6, 6, 6, 6)), **options)
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    places = set()
    for image, around in zip(shown, padded, strict=True):
        found = [(i, j) for i in range(5) for j in range(5) if (around[i : i + 6, j : j + 6] == image).all()]
        assert len(found) == 1
        places |= set(found)
    assert len(places) == 25


def test_a_random_resized_crop_is_crop_and_resize():
    images = _images(40, 60, 6).astype(np.float32)
    step, frame = steps.RandomResizedCrop(), Frame(40, 60, 24, 16)
    shown = _shown(images, geometry.draw(step, _draws(6), frame), (24, 16))
    ones = tf.ones(6)
    boxes = np.stack(geometry.crop_boxes(step, _draws(6), 40 * ones, 60 * ones), axis=-1).astype(int)
    for image, one, (top, left, height, width) in zip(images, shown, boxes, strict=True):
        window = image[np.newaxis, top : top + height, left : left + width]
        expected = tf.raw_ops.ResizeBilinear(images=window, size=[24, 16], half_pixel_centers=True)[0].numpy()
        # At the window's edge the warp sees the image's next pixel, where a cut-out window repeats its last one.
        inner = np.s_[3:-3, 3:-3]
        np.testing.assert_allclose(one[inner], expected[inner], atol=0.05)


def test_crop_windows_have_the_areas_and_aspects_asked_for_and_lie_inside():
    step = steps.RandomResizedCrop(area=(0.2, 0.6), aspect=(0.8, 1.25))
    ones = tf.ones(MANY)
    top, left, height, width = (
        value.numpy() for value in geometry.crop_boxes(step, _draws(MANY), 300 * ones, 400 * ones)
    )
    assert top.min() >= 0 and left.min() >= 0 and (top + height).max() <= 300 and (left + width).max() <= 400
    share, aspect = height * width / (300 * 400), width / height
    assert share.min() > 0.195 and share.max() < 0.605 and abs(share.mean() - 0.4) < 0.01
    assert aspect.min() > 0.79 and aspect.max() < 1.27 and abs(np.log(aspect).mean()) < 0.01
    for value, size in ((top, 300 - height), (left, 400 - width)):
        assert abs((value / np.maximum(size, 1)).mean() - 0.5) < 0.02


@pytest.mark.parametrize(
    ("step", "low", "high"),
    [
        (steps.Rotation(degrees=30), -30, 30),
        (steps.Shear(x=20), -20, 20),
        (steps.Shift(width=0.25, height=0), -0.25, 0.25),
        (steps.Zoom(scale=(0.5, 4.0)), math.log(0.5), math.log(4.0)),
    ],
)
def test_a_range_is_used_evenly_from_end_to_end(step, low, high):
    matrix = geometry.draw(step, _draws(MANY), Frame(20, 40, 20, 40)).numpy()
    drawn = {
        steps.Rotation: lambda m: np.degrees(np.arctan2(m[:, 1, 0], m[:, 0, 0])),
        steps.Shear: lambda m: np.degrees(np.arctan(m[:, 0, 1])),
        steps.Shift: lambda m: m[:, 0, 2] / 40,
        steps.Zoom: lambda m: -np.log(m[:, 0, 0]),
    }[type(step)](matrix)
    gaps = np.abs((np.sort(drawn) - low) / (high - low) - np.arange(MANY) / MANY)
    assert gaps.max() < 1.95 / np.sqrt(MANY)
