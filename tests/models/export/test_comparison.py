import numpy as np
import pytest

from base.errors import InputError
from models.export.comparison import compare

SOURCE = np.array([[0.7, 0.2, 0.1], [0.4, 0.40005, 0.19995], [0.1, 0.1, 0.8], [0.0, 1.0, 0.0]])


def test_only_images_that_are_clear_must_agree_in_float32():
    export = SOURCE.copy()
    export[1] = [0.40005, 0.4, 0.19995]  # the two best were 5e-5 apart
    seen = compare(SOURCE, export)
    assert (seen.images, seen.clear, seen.agreement, seen.clear_agreement) == (4, 3, 0.75, 1.0)
    assert seen.largest_difference == pytest.approx(5e-5)
    seen.require_equal("float32")
    for precision in ("float16", "int8"):
        with pytest.raises(InputError, match="0.75"):
            seen.require_equal(precision)


def test_one_clear_image_of_another_class_is_a_mismatch():
    export = SOURCE.copy()
    export[0] = [0.2, 0.7, 0.1]
    with pytest.raises(InputError, match="float32"):
        compare(SOURCE, export).require_equal("float32")


@pytest.mark.parametrize(("wrong", "precision", "passes"), [(1, "float16", True), (2, "float16", False),
                                                            (5, "int8", True), (6, "int8", False)])  # fmt: skip
def test_float16_may_miss_one_of_a_hundred_and_int8_five(wrong, precision, passes):
    source = np.tile([[0.52, 0.48]], (100, 1))
    export = source.copy()
    export[:wrong] = [0.48, 0.52]
    if passes:
        compare(source, export).require_equal(precision)
    else:
        with pytest.raises(InputError):
            compare(source, export).require_equal(precision)


def test_one_sigmoid_unit_is_two_classes():
    seen = compare(np.array([[0.6], [0.3]]), np.array([[0.4], [0.3]]))
    assert seen.agreement == 0.5 and seen.largest_difference == pytest.approx(0.2)


def test_scores_that_are_no_numbers_are_a_mismatch():
    with pytest.raises(InputError):
        compare(SOURCE, np.full_like(SOURCE, np.nan)).require_equal("int8")


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_the_same_class_by_other_scores_is_a_mismatch(precision):
    """As of logits in the place of probabilities."""
    logits = np.array([[5.0, 1.0, 0.0], [0.4, 0.41, -1.0], [0.0, 0.0, 4.0], [0.0, 9.0, 0.0]])
    seen = compare(SOURCE, logits)
    assert seen.clear_agreement == seen.agreement == 1
    with pytest.raises(InputError, match=f"in {precision} the scores that the model gives"):
        seen.require_equal(precision)
    compare(1000 * SOURCE, 1000 * SOURCE + 0.5).require_equal(precision)
