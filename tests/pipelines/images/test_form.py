import pytest

from base.errors import InputError
from pipelines.images.form import parse_resize


@pytest.mark.parametrize(
    ("text", "size", "target"),
    [
        ("short=256", (375, 500), (256, 341)),
        ("short=256", (500, 375), (341, 256)),
        ("long=512", (1024, 300), (512, 150)),
        ("short=256", (100, 900), (100, 900)),  # smaller ones are not enlarged
        ("long=1", (3, 1000), (1, 1)),
        ("exact=20x30", (5, 5), (20, 30)),
    ],
)
def test_a_size_is_worked_out_to_the_pixel(text, size, target):
    assert parse_resize(text).target(*size) == target


@pytest.mark.parametrize("text", ["", "256", "short=0", "short=99999", "exact=256", "exact=0x5", "long=-1", "wide=3"])
def test_a_size_that_cannot_be_is_refused(text):
    with pytest.raises(InputError, match="--resize"):
        parse_resize(text)
