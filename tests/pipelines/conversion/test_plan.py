import dataclasses

import numpy as np
import pytest

from base.errors import InputError
from pipelines.conversion.plan import plan_splits
from pipelines.sources.options import SourceOptions
from pipelines.sources.source import Source


def _source(count=100, *, splits=None, groups=None, labels=None):
    return Source(
        name="set",
        classes=("a", "b"),
        ids=[f"{n}.jpg" for n in range(count)],
        labels=np.arange(count) % 2 if labels is None else labels,
        splits=splits,
        read=lambda places: [],
        at_once=1,
        groups=groups,
    )


OWN = {"train": np.arange(60), "validation": np.arange(60, 100)}


def _plan(source, **options):
    return plan_splits(source, SourceOptions(source="set", **options))


def _sizes(source, **options):
    return {name: len(places) for name, places in _plan(source, **options).splits.items()}


def test_shares_name_any_splits_and_the_source_keeps_its_own():
    assert _sizes(_source()) == {"train": 80, "validation": 10, "test": 10}
    assert _sizes(_source(), split="train=1") == {"train": 100}
    assert _sizes(_source(), split="fit=0.5,tune=0.3,hide=0.2") == {"fit": 50, "tune": 30, "hide": 20}
    assert _sizes(_source(), hold_out="0") == {"train": 90, "test": 10}
    assert _sizes(_source(splits=OWN)) == {"train": 60, "validation": 40}


def test_a_renamed_validation_makes_room_for_one_held_out_of_train():
    source = _source(splits=OWN)
    plan = _plan(source, rename_split="validation=test", hold_out="validation=0.2")
    assert {name: len(places) for name, places in plan.splits.items()} == {"train": 48, "validation": 12, "test": 40}
    assert sorted(plan.splits["test"]) == list(range(60, 100))
    assert _sizes(source, rename_split="validation=train,train=validation") == {"validation": 60, "train": 40}


def test_a_divided_source_is_divided_anew_only_when_its_splits_are_merged():
    source = _source(splits=OWN)
    with pytest.raises(InputError, match=r"Expected --split only.*\['train', 'validation'\].*--merge-splits"):
        _plan(source, split="train=1")
    assert _sizes(source, split="train=0.9,test=0.1", merge_splits=True) == {"train": 90, "test": 10}
    assert _plan(source, merge_splits=True).splits["train"].tolist() == _plan(_source()).splits["train"].tolist()


def test_groups_stay_whole_and_groups_that_the_source_divides_are_counted():
    groups = [f"patient {n // 7}" for n in range(100)]
    plan = _plan(_source(groups=groups))
    of_split = [{groups[place] for place in places} for places in plan.splits.values()]
    assert sum(map(len, of_split)) == len(set(groups)) and "no group divided" in " ".join(plan.notes)
    plan = _plan(_source(groups=groups, splits=OWN))
    warning = "1 groups have images in more than one of its own splits"
    assert warning in plan.notes and plan.warnings == (warning,)


def test_what_looks_like_groups_and_is_divided_is_a_warning():
    values = [f"p{n // 7}" if n % 5 else "" for n in range(100)]
    source = dataclasses.replace(_source(), likely_groups=("patient_id", values))
    plan = _plan(source)
    of_split = [{values[place] for place in places if values[place]} for places in plan.splits.values()]
    divided = sum(sum(value in those for those in of_split) > 1 for value in set(values))
    (warning,) = plan.warnings
    assert divided > 5 and f"{divided} of the 15 values of column 'patient_id'" in warning and warning in plan.notes
    assert _plan(source, split="train=1").warnings == ()
    assert _plan(dataclasses.replace(source, groups=[value or str(n) for n, value in enumerate(values)])).warnings == ()


def test_splits_of_groups_do_not_depend_on_the_order_of_the_files():
    groups, order = [f"patient {n // 7}" for n in range(100)], np.random.default_rng(0).permutation(100)
    source = _source(groups=groups)
    shuffled = dataclasses.replace(
        source,
        ids=[source.ids[n] for n in order],
        labels=source.labels[order],
        groups=[groups[n] for n in order],
    )
    ids = [
        {name: [one.ids[place] for place in places] for name, places in _plan(one).splits.items()}
        for one in (source, shuffled)
    ]
    assert ids[0] == ids[1]


def test_what_balance_leaves_out_is_listed():
    labels = np.repeat([0, 1], [30, 70])
    plan = _plan(_source(labels=labels), split="train=1", balance="undersample")
    assert np.bincount(labels[plan.splits["train"]]).tolist() == [30, 30]
    assert len(plan.left_out) == 40 and set(plan.left_out) | set(plan.splits["train"]) == set(range(100))
    again = _plan(_source(labels=labels), split="train=1", balance="undersample", seed=1)
    assert again.left_out.tolist() != plan.left_out.tolist()


def test_a_class_that_only_training_lacks_is_refused_and_one_that_test_lacks_is_told():
    labels = np.repeat([0, 1], [60, 40])
    with pytest.raises(InputError, match=r"training example of every class.*'b'"):
        _plan(_source(labels=labels, splits=OWN))
    assert "test has no example of b" in _plan(_source(labels=labels, splits={"test": np.arange(60)})).notes


@pytest.mark.parametrize(
    ("own", "options", "named"),
    [
        (OWN, {"rename_split": "validatoin=test"}, "Did you mean 'validation'"),
        (OWN, {"rename_split": "validation=train"}, r"twice=\['train'\]"),
        (OWN, {"rename_split": "validation=all"}, r"names=\['all'\].*--rename-split"),
        ({"train": np.arange(50), "1": np.arange(50, 100)}, {}, r"names=\['1'\].*--rename-split"),
        (None, {"rename_split": "validation=test"}, "--rename-split only where SOURCE has splits"),
        (None, {"merge_splits": True}, "--merge-splits only where SOURCE has splits"),
    ],
)
def test_splits_that_can_not_be_made_are_refused(own, options, named):
    with pytest.raises(InputError, match=named):
        _plan(_source(splits=own), **options)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"split": "train=0.8"}, "add up to 1.*sum=0.8"),
        ({"split": "train=1.2,test=-0.2"}, "above 0"),
        ({"split": "train=x"}, "sum=nan"),
        ({"split": "train"}, "NAME=SHARE"),
        ({"split": "train=0.5,train=0.5"}, "each name once"),
        ({"split": "all=1"}, r"names=\['all'\]"),
        ({"split": "a-b=1"}, r"names=\['a-b'\]"),
        ({"split": "train=1", "hold_out": "0"}, "either --split or --hold-out"),
        ({"rename_split": "a="}, "OLD=NEW"),
        ({"label_pattern": "("}, "regular expression.*unterminated"),
        ({"delimiter": ",,"}, "--delimiter"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, named):
    with pytest.raises(InputError, match=named):
        SourceOptions(source="set", **options)


def test_what_a_dataset_is_made_by_holds_only_what_it_depends_on():
    plain = SourceOptions(source="digits").made_by()
    assert plain == {
        "source": "digits",
        "seed": 0,
        "hold_out": {"validation": 0.1},
        "value_range": "auto",
        "class_names": [],
    }
    assert SourceOptions(source="digits", hold_out="validation=.10").made_by() == plain
    one, other = (
        SourceOptions(source="x", split=text).made_by() for text in ("train=.9,test=.1", "train=0.90,test=0.1")
    )
    assert one == other and one["split"] == {"train": 0.9, "test": 0.1} and "hold_out" not in one
    assert SourceOptions(source="tfds:mnist", image_key="x").made_by()["image_key"] == "x"
