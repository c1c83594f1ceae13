import io

import numpy as np
import pytest
from PIL import Image

from pipelines.images.file_options import ImageFileOptions
from pipelines.images.files import ImageFile, ImageFiles
from pipelines.images.form import form_of
from pipelines.images.input_options import InputSpec
from pipelines.images.stream import stream_images
from pipelines.reading.example_ids import read_ids
from pipelines.reading.parts import Parts
from pipelines.sources.source import Unreadable


def files_of_all_kinds(images):
    """Name -> bytes: whatever a source may hold, in differing sizes."""
    cmyk, interlaced = io.BytesIO(), io.BytesIO()
    Image.fromarray(images.pixels(20, 31)).convert("CMYK").save(cmyk, "JPEG")
    Image.fromarray(images.pixels(40, 23)).save(interlaced, "JPEG", progressive=True)
    palette = images.pixels(1, 256)[0]
    return {
        **{f"turned_{n}.jpg": images.jpeg(images.pixels(12 + n, 19), orientation=n) for n in range(1, 9)},
        "grey.jpg": images.jpeg(images.pixels(30, 17, 1)),
        "cmyk.jpg": cmyk.getvalue(),
        "progressive.jpg": interlaced.getvalue(),
        "transparent.png": images.png(images.pixels(16, 16, 4)),
        "grey.png": images.png(images.pixels(9, 14, 1)),
        "colours.bmp": images.bmp(images.pixels(14, 9)),
        "palette.bmp": images.bmp(images.pixels(14, 9, 1), palette),
        "frames.gif": images.gif([images.pixels(8, 11, 1)[..., 0] % 128] * 2, palette[:128]),
    }


@pytest.mark.parametrize(
    ("fit", "channels", "stored"),
    [
        ("stretch", 3, {"encoding": "keep"}),
        ("crop", 1, {"encoding": "keep"}),
        ("pad", 3, {"encoding": "jpeg", "resize": "short=12", "quality": 80}),
        ("crop", 3, {"encoding": "raw", "resize": "exact=20x24"}),
    ],
)
def test_pixels_are_those_of_the_evaluation_bit_for_bit(
    images, tmp_path, convert_into, open_split, fit, channels, stored
):
    contents = files_of_all_kinds(images)
    for name, content in contents.items():
        for label in ("a", "b"):
            (tmp_path / "source" / label).mkdir(parents=True, exist_ok=True)
            (tmp_path / "source" / label / name).write_bytes(content if label == "a" else images.png())
    manifest = convert_into(tmp_path / "source", tmp_path / "data", **stored)
    spec = InputSpec(image_size=16, channels=channels, fit=fit)
    judged = {}
    for split in manifest.splits:
        opened = open_split(tmp_path / "data", spec, split=split)
        batches = list(opened.reader.evaluation_batches(Parts(batch_size=8)).as_numpy_iterator())
        pixels = np.concatenate([batch["image"] for batch in batches])
        judged |= zip(read_ids(opened.files), pixels, strict=False)
    files = ImageFiles(ImageFileOptions(paths=(str(tmp_path / "source" / "a"),)))
    form = form_of(manifest.stored_as)
    seen = {image.name: image.image for image in stream_images(files, spec, form=form, threads=2, max_pixels=10**6)}
    assert len(seen) == len(contents) == 16
    for name in contents:
        np.testing.assert_array_equal(seen[f"{tmp_path}/source/a/{name}"], judged[f"a/{name}"], name)


def test_a_broken_image_is_told_apart_from_those_around_it_and_order_is_kept(images):
    jpeg = images.jpeg(images.pixels(30, 30))
    contents = [images.png() for _ in range(40)]
    contents[5], contents[6], contents[17] = jpeg[:-150], Unreadable("No such file"), b""
    contents[30] = images.png(images.pixels(400, 400))
    files = [ImageFile(str(place), lambda content=content: content) for place, content in enumerate(contents)]
    spec = InputSpec(image_size=8, channels=3, fit="stretch")
    seen = list(stream_images(files, spec, threads=3, max_pixels=100_000))
    assert [image.name for image in seen] == [str(place) for place in range(40)]
    reasons = {place: image.image.reason for place, image in enumerate(seen) if isinstance(image.image, Unreadable)}
    assert set(reasons) == {5, 6, 17, 30} and reasons[6] == "No such file" and reasons[17] == "the file is empty"
    assert reasons[5].startswith("broken image: ") and "160000" not in reasons[30] and "--max-pixels" in reasons[30]
    alone = list(stream_images([files[7]], spec, threads=1, max_pixels=100_000))
    np.testing.assert_array_equal(seen[7].image, alone[0].image)
    assert seen[7].image.shape == (8, 8, 3) and seen[7].image.dtype == np.uint8 and seen[7].bytes == len(contents[7])


def test_only_a_few_images_are_read_ahead_of_those_taken(images):
    png, read = images.png(), []

    def endless():
        while True:
            yield ImageFile("x", lambda: read.append(1) or png)

    stream = stream_images(endless(), None, threads=2, max_pixels=10**6)
    taken = [next(stream).image for _ in range(500)]
    stream.close()
    assert taken == [png] * 500 and len(read) <= 500 + 8 * (2 * 2 + 2)
