import numpy as np
import pytest

from pipelines.conversion.splits import hash_ids, hold_out, shuffle, stratify, undersample

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


def _counts(labels, splits):
    return {name: np.bincount(labels[places], minlength=labels.max() + 1).tolist() for name, places in splits.items()}


def _hashes(count, seed=0):
    return hash_ids([str(n) for n in range(count)], seed)


def test_every_class_is_divided_by_the_shares_and_no_example_is_lost_or_doubled():
    labels = np.repeat([0, 1, 2], [100, 50, 30])
    splits = stratify(labels, _hashes(180), SHARES)
    assert _counts(labels, splits) == {"train": [80, 40, 24], "validation": [10, 5, 3], "test": [10, 5, 3]}
    assert np.array_equal(np.sort(np.concatenate(list(splits.values()))), np.arange(180))


def test_the_spare_examples_of_small_classes_go_to_the_splits_in_turn():
    labels = np.repeat(np.arange(10), 5)
    splits = stratify(labels, _hashes(50), SHARES)
    assert {name: len(places) for name, places in splits.items()} == {"train": 40, "validation": 5, "test": 5}


def test_a_class_with_one_example_keeps_it_for_training():
    splits = stratify(np.arange(40), _hashes(40), SHARES)
    assert np.array_equal(splits["train"], np.arange(40))


@pytest.mark.parametrize("held_out", [0.0, 0.1, 0.29, 0.5])
def test_rounding_of_the_shares_loses_nothing(held_out):
    for count in range(1, 200):
        labels = np.zeros(count, int)
        splits = stratify(labels, np.arange(count, dtype=np.uint64), {"train": 1 - held_out, "validation": held_out})
        assert abs(len(splits["validation"]) - held_out * count) <= 0.5 or len(splits["train"]) == 1
        assert len(splits["train"]) + len(splits["validation"]) == count


def _grouped(random, count=600):
    """Groups of 1 to 5 images, mostly of one class, some of two; classes very unequal."""
    groups = np.repeat(np.arange(count), random.integers(1, 6, count))
    labels = random.choice(4, count, p=[0.7, 0.2, 0.08, 0.02])[groups]
    odd = random.random(len(groups)) < 0.1
    labels[odd] = random.integers(0, 4, odd.sum())
    return labels, groups


def test_no_group_is_divided_and_the_classes_are_still_divided_alike():
    for seed in range(5):
        labels, groups = _grouped(np.random.default_rng(seed))
        splits = stratify(labels, _hashes(600, seed)[groups], SHARES, groups)
        assert sum(len(np.unique(groups[places])) for places in splits.values()) == 600
        assert np.array_equal(np.sort(np.concatenate(list(splits.values()))), np.arange(len(labels)))
        of_class = np.bincount(labels)
        for name, share in SHARES.items():
            assert abs(len(splits[name]) - share * len(labels)) <= 5, "no further off than one group"
            assert np.all(np.abs(_counts(labels, splits)[name] - share * of_class) <= 5), name


def test_groups_of_one_image_are_divided_as_images_without_groups_are():
    labels, hashes = np.random.default_rng(1).integers(0, 7, 300), _hashes(300)
    grouped = stratify(labels, hashes, SHARES, np.random.default_rng(2).permutation(300))
    assert all(np.array_equal(places, grouped[name]) for name, places in stratify(labels, hashes, SHARES).items())


def test_one_group_of_all_images_is_not_divided():
    splits = stratify(np.arange(9) % 3, np.zeros(9, np.uint64), SHARES, np.ones(9, int))
    assert {name: len(places) for name, places in splits.items()} == {"train": 9, "validation": 0, "test": 0}


def test_splits_and_order_are_the_same_however_the_file_system_lists_the_files():
    ids = np.array([f"class{n % 3}/{n}.jpg" for n in range(200)])
    names = np.array([f"group {n // 4}" for n in range(200)])
    labels = np.arange(200) % 3
    for grouped in (False, True):

        def ids_of(now, grouped=grouped):
            hashes = hash_ids(ids[now], 5)
            groups = np.unique(names[now], return_inverse=True)[1] if grouped else None
            splits = stratify(labels[now], hash_ids(names[now], 5) if grouped else hashes, SHARES, groups)
            return {name: ids[now][places].tolist() for name, places in shuffle(splits, hashes).items()}

        assert ids_of(np.arange(200)) == ids_of(np.random.default_rng(0).permutation(200))


def test_another_seed_draws_other_splits_in_another_order_and_the_same_seed_never_does():
    assert _hashes(100, 1).tolist() != _hashes(100, 2).tolist()
    # a data set made years ago is made again: this number is part of the format
    assert hash_ids(["cats/cat.0.jpg"], 0)[0] == 0xEFC1C50A0FE6D17B


def test_validation_is_held_out_of_train_alone_and_no_group_is_divided():
    labels, groups = np.zeros(120, int), np.arange(120) // 5
    own = {"train": np.arange(100), "test": np.arange(100, 120)}
    splits = hold_out(own, 0.13, labels, _hashes(24)[groups], groups)
    assert {name: len(places) for name, places in splits.items()} == {"train": 85, "validation": 15, "test": 20}
    assert set(splits["train"]) | set(splits["validation"]) == set(range(100))
    assert not set(groups[splits["train"]]) & set(groups[splits["validation"]])


def test_a_split_is_written_in_shuffled_order_and_an_empty_one_not_at_all():
    splits = shuffle({"train": np.arange(20), "test": np.zeros(0, int)}, _hashes(20))
    assert list(splits) == ["train"] and sorted(splits["train"]) == list(range(20)) != splits["train"].tolist()


def test_undersampling_leaves_as_many_examples_of_every_class_and_lists_the_others():
    labels = np.array([0] * 6 + [1] * 3 + [0] * 2 + [1] * 4 + [2] * 2)
    splits = {"train": np.arange(8, -1, -1), "test": np.arange(9, 17)}  # 6 of 0 and 3 of 1; 2, 4 and 2
    kept, left_out = undersample(splits, labels, np.arange(17, dtype=np.uint64)[::-1])
    assert kept["train"].tolist() == [8, 7, 6, 5, 4, 3], "those with the smallest hashes, in the order given"
    assert _counts(labels, kept) == {"train": [3, 3, 0], "test": [2, 2, 2]}
    assert left_out.tolist() == [0, 1, 2, 11, 12]
