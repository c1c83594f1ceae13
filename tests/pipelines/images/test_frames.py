import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from pipelines.augment.augmentation import host_crop
from pipelines.augment.policy import Policy
from pipelines.augment.steps import Crop, Flip, RandomResizedCrop
from pipelines.images import decode, frames
from pipelines.images.input_options import InputSpec
from pipelines.manifest import Manifest

SPEC = InputSpec(image_size=32, channels=3, fit="stretch")
CROP = Policy(steps=(RandomResizedCrop(), Flip()))


def manifest(encoding="keep", image_shape=None, channels=3, oriented=0):
    return Manifest(
        classes=("a", "b"),
        channels=channels,
        image_shape=image_shape,
        encoding=encoding,
        oriented=oriented,
        found=0,
        skipped=0,
        left_out=0,
        splits={},
        made_by={},
        files=(),
    )


def training(policy, **of_manifest):
    chosen = frames.training_frames(manifest(**of_manifest), SPEC, policy, host_crop(policy, 5))
    return chosen.crop is not None, chosen.size


@pytest.mark.parametrize(
    ("policy", "records", "expected"),
    [
        (None, {}, (False, (32, 32))),
        (CROP, {}, (True, (32, 32))),
        (CROP, {"encoding": "jpeg", "image_shape": (64, 64)}, (True, (32, 32))),
        (CROP, {"encoding": "png", "image_shape": (32, 32)}, (False, (32, 32))),
        (CROP, {"encoding": "raw", "image_shape": (40, 48)}, (False, (40, 48))),
        (Policy(steps=(Flip(),)), {}, (False, (32, 32))),
        (Policy(steps=(Crop(padding=0, resize=36),)), {}, (False, (36, 36))),
        (Policy(steps=(Crop(),)), {"encoding": "raw", "image_shape": (40, 40)}, (False, (32, 32))),
    ],
)
def test_recipe_and_records_alone_say_who_crops_and_what_the_augmentation_is_given(policy, records, expected):
    assert training(policy, **records) == expected


def test_a_cropped_frame_is_the_window_of_the_shown_image_brought_to_the_models_size(images):
    pixels = [images.pixels(60, 90), images.pixels(80, 50), images.pixels(70, 70), images.pixels(40, 90)]
    data = [images.jpeg(pixels[0], 6), images.png(pixels[1]), images.jpeg(pixels[2], 3), images.jpeg(pixels[3])]
    orientation = tf.constant([6, 1, 3, 1], tf.int64)
    epoch, index = tf.constant([0, 1, 2, 3], tf.int64), tf.constant([7, 7, 8, 9], tf.int64)
    crop = host_crop(CROP, 5)
    chosen = frames.training_frames(manifest(oriented=2), SPEC, CROP, crop)
    sizes = frames.windows.image_sizes(tf.constant(data))
    seen = chosen.cropped(lambda place: tf.constant(data)[place], sizes, orientation, epoch, index).numpy()
    for at, image in enumerate(data):
        shown = decode.turn(tf.io.decode_image(image, channels=3), orientation[at])
        height, width = ([size] for size in shown.shape[:2])
        top, left, height, width = crop.boxes(epoch[at : at + 1], index[at : at + 1], height, width)[0].numpy()
        window = shown[top : top + height, left : left + width]
        expected = tf.image.resize(window, (32, 32), antialias=min(height, width) >= 64).numpy()
        # turned after it was resized, a pixel may round the other way; what is decoded smaller differs by a little
        assert abs(seen[at] - expected).max() <= (1 if min(height, width) < 64 else 40)
        assert abs(seen[at] - expected).mean() <= (0.3 if min(height, width) < 64 else 4)


def test_raw_records_keep_their_size_or_are_fitted_and_get_the_models_channels():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 40, 48, 1), np.uint8)
    records = tf.constant([image.tobytes() for image in pixels])
    stored = frames.training_frames(manifest("raw", (40, 48), channels=1), SPEC, CROP, host_crop(CROP, 5))
    np.testing.assert_array_equal(stored.whole(records, None), np.repeat(pixels, 3, axis=-1))
    fitted = frames.evaluation_frames(manifest("raw", (40, 48), channels=1), SPEC).whole(records, None)
    for image, frame in zip(pixels, fitted, strict=True):
        expected = decode.fit(tf.image.grayscale_to_rgb(tf.constant(image)), SPEC)
        np.testing.assert_array_equal(frame, expected)


def test_every_way_to_fit_works_on_batches_of_raw_records():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 20, 48, 3), np.uint8)
    records = tf.constant([image.tobytes() for image in pixels])
    for fit in ("crop", "pad"):
        spec = dataclasses.replace(SPEC, fit=fit)
        batch = frames.evaluation_frames(manifest("raw", (20, 48)), spec).whole(records, None)
        for image, frame in zip(pixels, batch, strict=True):
            np.testing.assert_array_equal(frame, decode.fit(tf.constant(image), spec))
