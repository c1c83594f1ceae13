"""What could be changed, tried on the sample in memory: nothing is guessed that can be measured in a second or two."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from pipelines.doctor import stages as measured
from pipelines.doctor.sample import Columns, Sample, decoding
from pipelines.doctor.stages import Measuring
from pipelines.doctor.verdict import Remedy, Stage
from pipelines.images import exif
from pipelines.images.encoded import encode_file, encode_pixels
from pipelines.images.form import Form, Resize, parse_resize
from pipelines.images.frames import Frames
from pipelines.images.header import read_header
from pipelines.manifest import Manifest

_HEADROOM = 1.15  # of a stored image over the model's, for random crops: 256 for 224
_ANY_SIZE = 2**62  # the conversion has judged it


def stored_side(image_size: int) -> int:
    """Pixels a side that images are best stored with: a multiple of 16, a seventh above the model's size.

    Example:
        >>> [stored_side(size) for size in (96, 224, 384)]
        [112, 256, 448]
    """
    return max(image_size, 16 * round(_HEADROOM * image_size / 16))


def conversions(frames: Frames, short_sides: np.ndarray) -> list[Form]:
    """The forms that are worth trying, the one that keeps most first.

    Args:
        frames: What images become, with the dataset as it is.
        short_sides: `[n]`, pixels, of the images as they are stored.
    """
    manifest, spec = frames.manifest, frames.spec
    side = stored_side(spec.image_size)
    forms = []
    if manifest.encoding != "raw" and np.median(short_sides) > 1.1 * side:
        forms.append(Form(encoding="jpeg", resize=parse_resize(f"short={side}"), channels=manifest.channels))
    # An image stretched once is the same whether the conversion or the reader does it; a crop or a pad is not. A crop
    # that is drawn needs some room.
    side = side if frames.crop else frames.size[0]
    enough = np.median(short_sides) >= side  # what is enlarged for storage is only read for longer
    if spec.fit == "stretch" and enough and (manifest.encoding != "raw" or manifest.image_shape != (side, side)):
        forms.append(Form(encoding="raw", resize=parse_resize(f"exact={side}x{side}"), channels=manifest.channels))
    return forms


def converted(
    sample: Sample,
    manifest: Manifest,
    form: Form,
    frames_of: Callable[[Manifest], Frames],
    stages: Sequence[Stage],
    measuring: Measuring,
) -> Remedy:
    """The remedy of converting the dataset into another form, tried on as many images as there is time to convert.

    Args:
        sample: Of the dataset as it is.
        manifest: The same.
        form: What to convert it into.
        frames_of: From a manifest to what its images become.
        stages: As they were measured.
        measuring: How the new ones are.
    """
    started = time.perf_counter()
    images, before = [], 0
    with ThreadPoolExecutor(measuring.threads) as pool:
        for start in range(0, sample.images, 16):
            if time.perf_counter() - started > measuring.seconds:
                break
            old = sample.columns["image"][start : start + 16].numpy()
            images += pool.map(lambda image: _encoded(image, manifest, form), old)
            before += sum(map(len, old))
    smaller = sum(map(len, images)) / before
    columns = {
        "image": tf.constant(images),
        "label": tf.zeros([len(images)], tf.int64),
        "orientation": tf.fill([len(images)], tf.constant(exif.UPRIGHT, tf.int64)),
    }
    shape = (form.resize.height, form.resize.width) if form.encoding == "raw" else None
    path = decoding(frames_of(dataclasses.replace(manifest, encoding=form.encoding, image_shape=shape, oriented=0)))
    once = any(stage.once for stage in stages if stage.name == "decode")
    read = [
        dataclasses.replace(stage, wall=stage.wall * smaller, cpu=stage.cpu * smaller)
        for stage in stages
        if stage.name in ("read", "parse")
    ]
    what = f"convert with --resize {_spelled(form.resize)} --encoding {form.encoding}"
    space = f"{smaller:.2g} times the space" if smaller > 1.2 else ""
    return Remedy(
        do=f"{what} ({space})" if space else what,
        stages=(*read, *measured.decode_stages(columns, path, measuring, once=once)),
    )


def resident(
    columns: Columns, frames: Frames, batch_size: int, stages: Sequence[Stage], measuring: Measuring
) -> Remedy:
    """The remedy of holding a split in memory that is streamed: its frames, or, where crops are fused, its files."""
    names = ("read", "parse") if frames.crop else ("read", "parse", "decode", "resize")
    once = [dataclasses.replace(stage, once=True) for stage in stages if stage.name in names]
    if frames.crop:
        return Remedy(do="train with --cache memory, which reads once", stages=tuple(once))
    path = decoding(frames)
    few = tf.data.Dataset.from_tensor_slices(path.prepare(columns)).take(256).map(path.frame)
    batch = measured.batch_of_resident(tf.stack(list(few)), batch_size, measuring)
    return Remedy(do="train with --cache memory, which decodes once", stages=(*once, batch))


def augmented_on_device(stage: Stage) -> Remedy:
    """The remedy of augmenting in the step.

    Args:
        stage: `augmentation`, measured on the device.
    """
    return Remedy(do="train with --augment-on device", stages=(stage,))


def _encoded(image: bytes, manifest: Manifest, form: Form) -> bytes:
    if manifest.encoding == "raw":
        pixels = np.frombuffer(image, np.uint8).reshape(*manifest.image_shape, manifest.channels)
        return encode_pixels(pixels, form, checked=False, in_full=False).data
    return encode_file(image, read_header(image, _ANY_SIZE), form, checked=False, in_full=False).data


def _spelled(resize: Resize) -> str:
    return f"exact={resize.height}x{resize.width}" if resize.kind == "exact" else f"{resize.kind}={resize.height}"
