import numpy as np
import pytest

from pipelines.health.near import DISTANCE, alike, candidate_pairs, join, near_components
from pipelines.health.perceptual import FLAT


def _hashes(count, seed=0):
    """Random hashes, many of which are another one with 0 to 9 bits flipped."""
    random = np.random.default_rng(seed)
    hashes = random.integers(0, 2**64, count, dtype=np.uint64)
    for place in range(count // 2):
        flipped = random.choice(64, random.integers(0, 10), replace=False).astype(np.uint64)
        hashes[count // 2 + place] = hashes[place] ^ np.bitwise_or.reduce(np.uint64(1) << flipped, initial=np.uint64(0))
    return random.permutation(hashes)


@pytest.mark.parametrize("count", [0, 1, 2, 700])
def test_candidates_are_the_pairs_that_comparing_all_with_all_finds_each_once(count):
    hashes = _hashes(count)
    distances = np.bitwise_count(hashes[:, np.newaxis] ^ hashes)
    expected = {tuple(pair) for pair in np.argwhere(np.triu(distances <= DISTANCE, 1)).tolist()}
    found = [tuple(sorted(pair)) for block in candidate_pairs(hashes) for pair in block.tolist()]
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert len(expected) >= count // 4


def test_pairs_are_found_across_the_blocks_that_bound_the_memory(monkeypatch):
    hashes = _hashes(300)
    whole = {frozenset(pair) for block in candidate_pairs(hashes) for pair in block.tolist()}
    monkeypatch.setattr("pipelines.health.near._BLOCK", 3)
    assert {frozenset(pair) for block in candidate_pairs(hashes) for pair in block.tolist()} == whole


def _tiny(seed):
    return np.random.default_rng(seed).integers(40, 200, 256).astype(np.uint8)


def test_brightness_and_contrast_do_not_count_and_other_pixels_do():
    picture = _tiny(0).astype(float)
    assert alike(*(tiny[np.newaxis] for tiny in (picture, picture * 0.7 + 30)))[0]
    noise = np.random.default_rng(1).normal(size=256)
    assert alike(picture[np.newaxis], (picture + 4 * noise)[np.newaxis])[0]
    assert not alike(picture[np.newaxis], (picture + 8 * noise)[np.newaxis])[0]
    assert not alike(picture[np.newaxis], np.full((1, 256), 7.0))[0]


def test_high_contrast_does_not_make_up_for_other_pixels():
    shape = np.where(np.arange(256) % 16 < 8, 20.0, 240.0)
    noise = np.random.default_rng(1).normal(size=256)
    assert np.corrcoef(shape, shape + 9 * noise)[0, 1] > 0.995
    assert not alike(shape[np.newaxis], (shape + 9 * noise)[np.newaxis])[0]
    assert alike(shape[np.newaxis], (shape + 4 * noise)[np.newaxis])[0]


def test_equal_hashes_are_no_evidence_without_alike_pictures():
    hashes = np.full(3, 0x1234567890ABCDEF, np.uint64)
    tinies = np.stack([_tiny(0), _tiny(1), _tiny(0)])
    assert near_components(hashes, tinies).tolist() == [0, 1, 0]


def test_blank_pictures_are_near_duplicates_of_nothing():
    assert near_components(np.full(4, FLAT, np.uint64), np.stack([_tiny(0)] * 4)).tolist() == [0, 1, 2, 3]


def test_thousands_of_frames_of_one_scene_become_one_set_without_comparing_all_with_all():
    random = np.random.default_rng(0)
    frames = 3000
    hashes = np.uint64(0x1234567890ABCDEF) ^ (np.uint64(1) << random.integers(0, 64, frames).astype(np.uint64))
    tinies = (_tiny(0) + random.integers(-2, 3, (frames, 256))).astype(np.uint8)
    compared = sum(len(block) for block in candidate_pairs(hashes))
    assert compared < 0.9 * frames**2 / 2
    assert near_components(hashes, tinies).tolist() == [0] * frames


def test_pairs_that_share_a_member_become_one_component_named_by_its_first():
    pairs = np.array([[5, 3], [3, 4], [1, 2]])
    assert join(np.arange(7), pairs).tolist() == [0, 1, 1, 3, 3, 3, 6]
    assert join(join(np.arange(7), pairs[:2]), np.array([[6, 5], [0, 2]])).tolist() == [0, 1, 0, 3, 3, 3, 3]
