import numpy as np
import pytest
import tensorflow as tf

from pipelines.images.decode import decode
from pipelines.images.encoded import encode_file
from pipelines.images.form import Form, parse_resize
from pipelines.images.form_in_graph import decode_as_stored
from pipelines.images.header import read_header
from pipelines.images.input_options import InputSpec

WAVE = np.add.outer(np.sin(np.arange(90) / 3), np.cos(np.arange(130) / 5))
PHOTO = np.stack([127 + 60 * WAVE, 127 - 60 * WAVE, 127 + 30 * WAVE.round()], axis=-1).round().astype(np.uint8)


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize(
    ("resize", "stored", "channels"),
    [("short=40", None, 3), ("long=64", 1, 3), ("exact=48x32", 3, 1), ("short=200", 3, 3), (None, 1, 1)],
)
def test_a_photo_is_what_its_record_would_be_within_a_level_or_two(images, resize, stored, channels, fit, orientation):
    form = Form(encoding="png", resize=resize and parse_resize(resize), channels=stored)
    spec = InputSpec(image_size=24, channels=channels, fit=fit)
    photo = images.jpeg(PHOTO, orientation)
    in_graph = tf.function(lambda file: decode_as_stored(file, spec, form, orientation), autograph=False)
    record = encode_file(photo, read_header(photo, 10**8), form, checked=False, in_full=False)
    expected = decode(tf.constant(record.data), spec, record.orientation).numpy().astype(int)
    seen = in_graph(tf.constant(photo)).numpy().astype(int)
    assert seen.shape == spec.shape
    assert np.abs(seen - expected).max() <= 2
    assert np.abs(seen - expected).mean() < 0.5


def test_an_image_that_has_the_form_already_is_not_changed(images):
    form, spec = Form(encoding="png", resize=parse_resize("short=90")), InputSpec(image_size=24, channels=3, fit="crop")
    photo = images.png(PHOTO)
    assert np.array_equal(decode_as_stored(photo, spec, form), decode(tf.constant(photo), spec))
