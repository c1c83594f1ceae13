"""Image files -> pixels, on all cores and in order; one that is broken comes as the reason why.

Threads of our own, not `Dataset.map`: its batches fail as a whole, and can't say which image it was. Eight images at a
time go through one compiled function, which holds no lock of the interpreter; where it fails, each alone tells.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from pipelines.images.decode import decode_all
from pipelines.images.encoded import encode_file
from pipelines.images.files import ImageFile
from pipelines.images.form import Form
from pipelines.images.header import UndecodableError, read_header
from pipelines.images.input_options import InputSpec
from pipelines.native_errors import reason_of
from pipelines.ordered import in_order
from pipelines.sources.source import Unreadable

_AT_ONCE = 8  # images of a call
_AHEAD = 2  # calls a thread that are worked on, or done and waiting
_CPU = "/CPU:0"

KEEP = Form(encoding="keep")  # what records hold when nothing else was asked for
Decoder = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # files string `[B]`, orientation int64 `[B]` -> pixels


@dataclasses.dataclass(frozen=True, slots=True)
class StreamedImage:
    """An image, or why there is none."""

    name: str
    image: np.ndarray | bytes | Unreadable  # pixels uint8 `[image_size, image_size, channels]`, or the file
    bytes: int = 0  # of the file


def stream_images(
    files: Iterable[ImageFile], spec: InputSpec | None, *, form: Form = KEEP, threads: int, max_pixels: int
) -> Iterator[StreamedImage]:
    """Reads and decodes images, ahead of who takes them; to be closed when it is left early.

    Args:
        files: Listed while they are read.
        spec: Size, channels and fit. None: the files' bytes, their headers checked.
        form: Of the data set's records: the pixels are those that training and evaluation have of the same files, bit
            for bit.
        threads: How many read and decode at the same time.
        max_pixels: Images that claim more are not decoded.
    """
    decoder = None if spec is None else _decoder(spec)
    pool = ThreadPoolExecutor(threads)
    prepare = functools.partial(_prepared, decoder=decoder, form=form, max_pixels=max_pixels)
    try:
        with contextlib.closing(
            in_order(functools.partial(pool.submit, prepare), _chunks(files), _AHEAD * threads)
        ) as prepared:
            for _, images in prepared:
                yield from images
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _chunks(files: Iterable[ImageFile]) -> Iterator[list[ImageFile]]:
    chunk: list[ImageFile] = []
    for file in files:
        chunk.append(file)
        if len(chunk) == _AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


@functools.cache
def _decoder(spec: InputSpec) -> Decoder:
    function = tf.function(lambda images, orientation: decode_all(images, spec, orientation), autograph=False)
    return function.get_concrete_function(tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.int64))


def _prepared(chunk: list[ImageFile], *, decoder: Decoder | None, form: Form, max_pixels: int) -> list[StreamedImage]:
    """What becomes of some files."""
    contents = [file.read() for file in chunk]
    with tf.device(_CPU):  # the ops exist nowhere else
        read = [_stored(content, form if decoder else None, max_pixels) for content in contents]
        good = [place for place, image in enumerate(read) if not isinstance(image, Unreadable)]
        images = [image if isinstance(image, Unreadable) else image[0] for image in read]
        if decoder is not None and good:
            for place, pixels in zip(good, _decoded(decoder, [read[place] for place in good]), strict=True):
                images[place] = pixels
    return [
        StreamedImage(file.name, image, 0 if isinstance(content, Unreadable) else len(content))
        for file, image, content in zip(chunk, images, contents, strict=True)
    ]


def _stored(content: bytes | Unreadable, form: Form | None, max_pixels: int) -> tuple[bytes, int] | Unreadable:
    """A file as its record would hold it, JPEG or PNG, and its orientation; without a form as it is."""
    if isinstance(content, Unreadable):
        return content
    try:
        header = read_header(content, max_pixels)
        if form is None:
            return content, header.orientation
        encoded = encode_file(content, header, form, checked=False, in_full=False)
    except UndecodableError as error:
        return Unreadable(str(error))
    return encoded.data, encoded.orientation


def _decoded(decoder: Decoder, images: list[tuple[bytes, int]]) -> list[np.ndarray | Unreadable]:
    data, orientation = zip(*images, strict=True)
    try:
        return list(decoder(tf.constant(data), tf.constant(orientation, tf.int64)).numpy())
    except tf.errors.OpError as error:
        if len(images) > 1:
            return [_decoded(decoder, [image])[0] for image in images]
        return [Unreadable(f"broken image: {reason_of(error)}")]
