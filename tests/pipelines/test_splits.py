import numpy as np
import pytest

from pipelines.splits import assign, hash_ids, stratify

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


def _counts(labels, splits):
    return {name: np.bincount(labels[places], minlength=labels.max() + 1).tolist() for name, places in splits.items()}


def test_every_class_is_divided_by_the_shares_and_no_example_is_lost_or_doubled():
    labels = np.repeat([0, 1, 2], [100, 50, 30])
    splits = stratify(labels, hash_ids([str(n) for n in range(180)], 0), SHARES)
    assert _counts(labels, splits) == {"train": [80, 40, 24], "validation": [10, 5, 3], "test": [10, 5, 3]}
    assert np.array_equal(np.sort(np.concatenate(list(splits.values()))), np.arange(180))


def test_the_spare_examples_of_small_classes_go_to_the_splits_in_turn():
    labels = np.repeat(np.arange(10), 5)
    splits = stratify(labels, hash_ids([str(n) for n in range(50)], 0), SHARES)
    assert {name: len(places) for name, places in splits.items()} == {"train": 40, "validation": 5, "test": 5}


def test_a_class_with_one_example_keeps_it_for_training():
    labels = np.arange(40)
    splits = stratify(labels, hash_ids([str(n) for n in range(40)], 0), SHARES)
    assert np.array_equal(splits["train"], np.arange(40))


@pytest.mark.parametrize("held_out", [0.0, 0.1, 0.29, 0.5])
def test_rounding_of_the_shares_loses_nothing(held_out):
    for count in range(1, 200):
        labels = np.zeros(count, int)
        splits = stratify(labels, np.arange(count, dtype=np.uint64), {"train": 1 - held_out, "validation": held_out})
        assert abs(len(splits["validation"]) - held_out * count) <= 0.5 or len(splits["train"]) == 1
        assert len(splits["train"]) + len(splits["validation"]) == count


def test_splits_and_order_are_the_same_however_the_file_system_lists_the_files():
    ids = np.array([f"class{n % 3}/{n}.jpg" for n in range(200)])
    labels = np.arange(200) % 3
    shuffled = np.random.default_rng(0).permutation(200)
    train = np.arange(200) >= 50
    for own in (None, {"train": train, "test": ~train}):

        def ids_of(places_now, own=own):
            now = own and {name: np.flatnonzero(members[places_now]) for name, members in own.items()}
            splits = assign(labels[places_now], hash_ids(ids[places_now], 5), now, 0.1)
            return {name: ids[places_now][places].tolist() for name, places in splits.items()}

        assert ids_of(np.arange(200)) == ids_of(shuffled)


def test_another_seed_draws_other_splits_in_another_order_and_the_same_seed_never_does():
    ids = [str(n) for n in range(100)]
    assert hash_ids(ids, 1).tolist() != hash_ids(ids, 2).tolist()
    # a data set made years ago is made again: this number is part of the format
    assert hash_ids(["cats/cat.0.jpg"], 0)[0] == 0xEFC1C50A0FE6D17B


def test_validation_is_held_out_of_train_alone_and_test_is_left_as_it_is():
    labels = np.zeros(120, int)
    own = {"train": np.arange(100), "test": np.arange(100, 120)}
    splits = assign(labels, hash_ids([str(n) for n in range(120)], 0), own, 0.1)
    assert {name: len(places) for name, places in splits.items()} == {"train": 90, "validation": 10, "test": 20}
    assert set(splits["train"]) | set(splits["validation"]) == set(range(100))
    assert splits["test"].tolist() != list(range(100, 120)), "examples are shuffled within a split"


def test_a_validation_split_of_the_source_stays_and_hold_out_zero_makes_none():
    labels, hashes = np.zeros(20, int), hash_ids([str(n) for n in range(20)], 0)
    own = {"train": np.arange(15), "validation": np.arange(15, 20)}
    assert sorted(assign(labels, hashes, own, 0.1)["validation"]) == list(range(15, 20))
    assert list(assign(labels, hashes, {"train": np.arange(20)}, 0)) == ["train"]
    assert list(assign(labels, hashes, None, 0)) == ["train", "test"]
