import colorsys

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from base.errors import InputError
from pipelines.augment import color, erasing, histogram, neighbours, photometry, tone
from pipelines.augment.draws import draws_of
from pipelines.augment.erasing_steps import ERASING_STEPS, Cutout, RandomErasing
from pipelines.augment.pixel_steps import (
    PIXEL_STEPS,
    Brightness,
    ChannelShift,
    ColorJitter,
    Contrast,
    Grayscale,
    Hue,
    Posterize,
    Saturation,
    Solarize,
)
from pipelines.augment.policy_steps import POLICY_STEPS, AutoAugment, RandAugment, TrivialAugment

STEPS = [*(cls() for cls in (*PIXEL_STEPS, *ERASING_STEPS, *POLICY_STEPS)), AutoAugment(policy="cifar")]
JUMPING = (RandAugment, TrivialAugment, AutoAugment)  # besides, those that round are exact where their input is whole


def _photos(count: int, height: int, width: int, channels: int) -> np.ndarray:
    """Smooth shading, edges and grain, each image with a range of values of its own: uint8 `[count, H, W, C]`."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j][:, None, :, :, None]
    slope = rng.uniform(-1, 1, (2, count, 1, 1, channels))
    image = 0.5 + 0.3 * (slope[0] * x + slope[1] * y) + 0.2 * (np.hypot(x - 0.5, y - 0.4) < 0.3)
    image = image * rng.uniform(0.5, 1, (count, 1, 1, 1)) + rng.normal(0, 0.03, (count, height, width, channels))
    return np.clip(image * 255, 3, 250).astype(np.uint8)


def _drawn(step, images: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    draws = draws_of(7, tf.zeros_like(index), index).stream(2)
    return photometry.apply(step, images, photometry.draw(step, draws))


def _differing(a, b, by: float) -> float:
    return float(np.mean(np.abs(np.asarray(a, np.float32) - np.asarray(b, np.float32)) > by))


@pytest.mark.parametrize("factor", [0.0, 0.35, 1.0, 1.9])
def test_the_blends_are_pillows_to_a_grey_level(factor):
    photos = _photos(4, 40, 31, 3)
    images, factors = tf.constant(photos, tf.float32), tf.fill([4], factor)
    for ours, enhancement in (
        (tone.brightened, ImageEnhance.Brightness),
        (tone.contrasted, ImageEnhance.Contrast),
        (color.saturated, ImageEnhance.Color),
        (neighbours.sharpened, ImageEnhance.Sharpness),
    ):
        theirs = [np.asarray(enhancement(Image.fromarray(photo)).enhance(factor)) for photo in photos]
        # Pillow rounds what it blends with, and cuts the fraction off the result.
        assert np.abs(ours(images, factors).numpy() - theirs).max() <= 1.001 + 0.5 * abs(1 - factor), enhancement


def test_the_tables_are_pillows_to_the_bit_or_to_its_rounding():
    photos = _photos(4, 40, 31, 3)
    photos[1, :, :, 2] = 77  # one channel without contrast
    images = tf.constant(photos, tf.float32)

    def theirs(operation, *arguments):
        return [np.asarray(operation(Image.fromarray(photo), *arguments)) for photo in photos]

    assert np.array_equal(histogram.equalized(images), theirs(ImageOps.equalize))
    assert np.array_equal(tone.inverted(images), theirs(ImageOps.invert))
    for bits in (1, 4, 7):
        assert np.array_equal(tone.posterized(images, tf.fill([4], float(bits))), theirs(ImageOps.posterize, bits))
    for threshold in (0, 100, 256):
        assert np.array_equal(
            tone.solarized(images, tf.fill([4], float(threshold))), theirs(ImageOps.solarize, threshold)
        )
    assert np.abs(tone.autocontrasted(images).numpy() - theirs(ImageOps.autocontrast)).max() <= 1
    grey = np.stack([np.asarray(Image.fromarray(photo).convert("L")) for photo in photos])[..., None]
    assert np.abs(color.saturated(images, tf.zeros([4])).numpy() - grey).max() <= 0.51


def test_values_between_grey_levels_are_rounded_before_they_are_counted_or_cut():
    images = tf.constant([[[[63.4], [63.6], [127.6], [200.0]]]])
    assert tone.posterized(images, tf.constant([2.0])).numpy().ravel().tolist() == [0, 64, 128, 192]
    photos = _photos(2, 24, 24, 1).astype(np.float32)
    noise = np.random.default_rng(1).uniform(-0.49, 0.49, photos.shape).astype(np.float32)
    assert np.array_equal(histogram.equalized(photos + noise), histogram.equalized(photos))


def test_the_hue_turns_and_saturation_and_value_stay():
    photos = _photos(2, 9, 7, 3).astype(np.float32)
    photos[0, 0, 0] = 90  # grey has no hue to turn
    turned = color.hue_turned(tf.constant(photos), tf.constant([0.3, -0.45])).numpy()
    for image, result, turn in zip(photos, turned, (0.3, -0.45), strict=True):
        for pixel, now in zip(image.reshape(-1, 3), result.reshape(-1, 3), strict=True):
            hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
            assert np.allclose(now, colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value), atol=1e-2)


def test_the_blur_is_scipys_gaussian():
    photos = _photos(2, 30, 26, 3).astype(np.float32)
    ours = neighbours.blurred(tf.constant(photos), tf.constant([0.0, 1.5]), 2.0).numpy()
    theirs = scipy.ndimage.gaussian_filter(photos[1], (1.5, 1.5, 0), mode="mirror", radius=(6, 6, 0))
    assert np.array_equal(ours[0], photos[0])
    assert np.abs(ours[1] - theirs).max() < 1e-3


def test_the_channel_shift_is_image_data_generators():
    from keras.src.legacy.preprocessing.image import apply_channel_shift

    photos = _photos(3, 12, 10, 3).astype(np.float32)
    shifts = [-30.0, 0.0, 55.0]
    theirs = [apply_channel_shift(photo, shift, 2) for photo, shift in zip(photos, shifts, strict=True)]
    assert np.allclose(tone.shifted(tf.constant(photos), tf.constant(shifts)), theirs, atol=1e-4)


def test_erased_rectangles_have_the_area_and_aspect_that_were_drawn():
    step = RandomErasing(probability=0.5, area=(0.1, 0.3), aspect=(0.5, 2.0), fill_value=0)
    index = tf.range(400, dtype=tf.int64)
    images = _drawn(step, tf.ones([400, 60, 50, 1]), index).numpy()[..., 0]
    erased = images == 0
    rows, columns = erased.any(axis=2).sum(axis=1), erased.any(axis=1).sum(axis=1)
    assert np.array_equal(rows * columns, erased.sum(axis=(1, 2)))  # rectangles
    some = rows > 0
    assert 0.4 < some.mean() < 0.6
    area, aspect = (rows * columns / 3000)[some], (rows / np.maximum(columns, 1))[some]
    assert 0.095 < area.min() < 0.12 and 0.28 < area.max() < 0.31
    assert 0.47 < aspect.min() < 0.6 and 1.7 < aspect.max() < 2.12


def test_a_cutout_is_a_square_about_its_pixel_cut_off_at_the_edge():
    parameters = {"chosen": tf.constant([True, True, False]), "x": tf.constant([0.5, 0.99, 0.5])}
    parameters["y"] = tf.constant([0.5, 0.0, 0.5])
    images = erasing.erase_square(Cutout(size=0.5, fill_value=9), tf.zeros([3, 8, 10, 2]), parameters).numpy()
    expected = np.zeros([3, 8, 10, 2])
    expected[0, 2:6, 3:7] = 9
    expected[1, 0:2, 7:10] = 9
    assert np.array_equal(images, expected)


def _agree_however_run(steps, channels: int) -> None:
    photos = _photos(9, 22, 17, channels)  # neither square nor a whole number of parts

    def all_steps(photos: tf.Tensor, index: tf.Tensor) -> list[tf.Tensor]:
        draws = draws_of(7, tf.zeros_like(index), index)
        return [photometry.apply(step, tf.cast(photos, tf.float32), photometry.draw(step, draws)) for step in steps]

    index = tf.range(9, dtype=tf.int64)
    eager = all_steps(photos, index)
    mapped = next(
        iter(tf.data.Dataset.from_tensor_slices((photos, index)).batch(9).map(lambda *batch: tuple(all_steps(*batch))))
    )
    compiled = tf.function(all_steps, jit_compile=True)(photos, index)
    for step, *results in zip(steps, eager, mapped, compiled, strict=True):
        assert results[0].shape == photos.shape and np.isfinite(results[0]).all()
        assert float(tf.reduce_min(results[0])) >= 0 and float(tf.reduce_max(results[0])) <= 255
        for result in results[1:]:
            assert _differing(result, results[0], by=1) <= (0.001 if isinstance(step, JUMPING) else 0), step


def test_steps_give_the_same_eagerly_in_a_dataset_and_compiled():
    _agree_however_run([cls() for cls in (*PIXEL_STEPS, *ERASING_STEPS)], 3)


@pytest.mark.parametrize("channels", [1, 4])
def test_so_do_jitter_shift_and_policies_on_one_channel_and_on_four(channels):
    _agree_however_run([ColorJitter(), ChannelShift(), TrivialAugment()], channels)


def test_an_image_is_the_same_alone_as_in_a_batch_and_each_is_drawn_for_itself():
    photos = np.repeat(_photos(1, 22, 17, 3), 13, axis=0).astype(np.float32)
    index = tf.range(13, dtype=tf.int64)
    for step in STEPS:
        together = _drawn(step, tf.constant(photos), index).numpy()
        for at in (0, 5, 12):
            alone = _drawn(step, tf.constant(photos[at : at + 1]), index[at : at + 1]).numpy()
            assert _differing(alone[0], together[at], by=1e-3) == 0, step
        assert len(np.unique(together.reshape(13, -1), axis=0)) >= 2, step


def test_bfloat16_pixels_stay_bfloat16_and_within_its_rounding():
    photos = _photos(8, 22, 17, 3)
    index = tf.range(8, dtype=tf.int64)
    for step in STEPS:
        exact = _drawn(step, tf.constant(photos, tf.float32), index)
        half = _drawn(step, tf.cast(photos, tf.bfloat16), index)
        assert half.dtype == tf.bfloat16
        assert _differing(half, exact, by=1) == 0, step


def test_what_needs_colour_leaves_grey_images_and_further_channels_alone():
    index = tf.range(8, dtype=tf.int64)
    for step in (Saturation(factor=(0, 0)), Hue(shift=0.5), Grayscale(probability=1.0)):
        for channels in (1, 2):
            photos = _photos(8, 12, 10, channels).astype(np.float32)
            assert np.array_equal(_drawn(step, tf.constant(photos), index), photos)
        photos = _photos(8, 12, 10, 4).astype(np.float32)
        result = _drawn(step, tf.constant(photos), index).numpy()
        assert np.array_equal(result[..., 3], photos[..., 3]) and not np.array_equal(result, photos)


def test_strength_widens_what_changes_an_image_and_0_changes_nothing():
    assert Brightness(factor=(0.6, 1.4)).scaled(2).factor == pytest.approx((0.2, 1.8))
    assert Contrast(factor=(0.2, 1.8)).scaled(2).factor == pytest.approx((0, 2.6))
    assert Solarize(threshold=128).scaled(0.5).threshold == 192
    assert Posterize(bits=4).scaled(2).bits == 1
    assert RandAugment(magnitude=20).scaled(2).magnitude == 30
    photos, index = _photos(8, 22, 17, 3).astype(np.float32), tf.range(8, dtype=tf.int64)
    for cls in (*PIXEL_STEPS, *ERASING_STEPS):
        unchanged = _drawn(cls().scaled(0), tf.constant(photos), index)
        # An erased rectangle is a pixel at least.
        assert _differing(unchanged, photos, by=1e-3) <= (1 / 374 if cls is RandomErasing else 0), cls


def test_ranges_out_of_bounds_or_the_wrong_way_round_are_refused():
    for make in (
        lambda: Brightness(factor=(1.2, 0.8)),
        lambda: Hue(shift=0.6),
        lambda: Posterize(bits=0),
        lambda: Grayscale(probability=1.5),
        lambda: RandomErasing(area=(0.5, 0.2)),
        lambda: RandAugment(magnitude=31),
        lambda: AutoAugment(policy="svhn"),
    ):
        with pytest.raises(InputError, match="Expected .* Received: "):
            make()
