import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipelines.images import exif
from pipelines.images.exif_in_graph import orientation_of
from pipelines.images.header import read_header

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 40, 3)).astype(np.uint8)
compiled = tf.function(orientation_of, input_signature=[tf.TensorSpec([], tf.string)], autograph=False)


def jpeg(tiff=None, kind="JPEG"):
    file = io.BytesIO()
    exif_bytes = b"" if tiff is None else b"Exif\0\0" + tiff
    Image.fromarray(PIXELS).save(file, kind, exif=exif_bytes)
    return file.getvalue()


def tiff(value, order="<", tag=0x0112, kind=3, count=1, before=2):
    entries = [(0x010F, 2, 4, 0)] * before + [(tag, kind, count, value)]
    body = struct.pack(order + "H", len(entries))
    body += b"".join(struct.pack(order + "HHIHxx", *entry) for entry in entries)
    return ({"<": b"II*\0", ">": b"MM\0*"}[order]) + struct.pack(order + "I", 8) + body


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("value", range(1, 9))
def test_every_orientation_is_read_as_the_pipeline_reads_it(value, order):
    file = jpeg(tiff(value, order))
    assert compiled(file).numpy() == read_header(file, 10**6).orientation == value


@pytest.mark.parametrize(
    "tiff_bytes",
    [
        None,
        tiff(0),
        tiff(9),
        tiff(6, kind=4),
        tiff(6, count=2),
        tiff(6, tag=0x0111),
        b"XX*\0" + tiff(6)[4:],
        tiff(6)[:20],
        b"II*\0" + struct.pack("<I", 2**32 - 1),
        b"",
    ],
)
def test_what_makes_no_sense_is_upright(tiff_bytes):
    file = jpeg(tiff_bytes)
    assert exif.orientation(tiff_bytes or b"") == 1 and compiled(file).numpy() == 1


def test_other_files_are_upright():
    assert [compiled(file).numpy() for file in (jpeg(kind="PNG"), b"", b"\xff\xd8\xff", b"Exif\0\0" + tiff(6))] == [
        1
    ] * 4
