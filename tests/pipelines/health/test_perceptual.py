import json

import imagehash
import numpy as np
import pytest
from PIL import Image

from pipelines.health.observation import Observation
from pipelines.health.perceptual import FLAT, perceptual_hash, tiny_picture


@pytest.mark.parametrize("size", [(96, 64), (28, 28), (63, 47), (200, 31), (32, 32)])
def test_the_hash_is_the_librarys_to_two_bits(data, size):
    for seed in range(20):
        grey = data.scene(seed, *size).convert("L")
        library = int(str(imagehash.phash(grey)), 16)
        assert (perceptual_hash(np.asarray(grey)) ^ library).bit_count() <= 2


def test_the_hash_of_a_picture_scaled_and_brightened_is_near_and_of_another_picture_far(data):
    for seed in range(20):
        picture, other = data.scene(seed, 300, 200).convert("L"), data.scene(seed + 100, 300, 200).convert("L")
        changed = np.asarray(picture.resize((120, 90))) * 0.8 + 20
        hash = perceptual_hash(np.asarray(picture))
        assert (hash ^ perceptual_hash(changed.astype(np.uint8))).bit_count() <= 6
        assert (hash ^ perceptual_hash(np.asarray(other))).bit_count() > 12


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_pictures_of_one_grey_have_one_hash_even_with_the_noise_of_compression(grey):
    noise = np.random.default_rng(0).integers(-1, 2, (40, 60))
    assert perceptual_hash(np.clip(grey + noise, 0, 255).astype(np.uint8)) == FLAT
    assert perceptual_hash(np.full((1, 1), grey, np.uint8)) == FLAT


def test_a_faint_picture_is_not_taken_for_a_blank_one():
    ramp = np.tile(np.linspace(120, 130, 64).astype(np.uint8), (64, 1))
    assert perceptual_hash(ramp) != FLAT


@pytest.mark.parametrize("size", [(63, 47), (16, 16), (5, 300)])
def test_the_tiny_picture_is_pillows(data, size):
    edge = Image.fromarray(np.uint8(np.arange(60) >= 31) * np.full((20, 1), 255, np.uint8))  # bicubic goes beyond
    for grey in (data.scene(1, *size).convert("L"), edge):
        tiny = np.frombuffer(tiny_picture(np.asarray(grey)), np.uint8).reshape(16, 16).astype(int)
        assert np.abs(tiny - np.asarray(grey.resize((16, 16), Image.Resampling.BICUBIC))).max() <= 1


def test_an_observation_comes_back_from_a_line_of_json(data):

    data.add(data.encoded(data.scene(0)), group="a")
    (seen,) = data.observations()
    assert Observation.from_json(json.loads(json.dumps(seen.to_json()))) == seen
