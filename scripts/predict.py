#!/usr/bin/env python
"""Predicts the classes of images: `scripts/predict.py MODEL PATHS... [--out FILE.csv]`."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from base import command, native_log
from base.errors import input_error, require
from base.files import whole_file
from base.options import parse
from models.backbones.options import BackboneOptions
from models.backbones.table import BACKBONES
from models.model_source import ModelSource, find_model
from pipelines.images.file_options import ImageFileOptions
from pipelines.images.files import ImageFiles, first_of
from pipelines.images.form import form_of
from pipelines.images.input_options import InputSpec
from scripts.judging.predict_options import PredictOptions
from scripts.judging.predictions import chosen_columns, columns_of, writer

if TYPE_CHECKING:
    from models.inference import Network
    from scripts.judging.predicting import Tally

GROUPS = {"prediction": PredictOptions, "images": ImageFileOptions}
DESCRIPTION = (
    "Predicts the classes of images: a row an image, the likeliest classes first. Images meet the model as in its "
    "training. One that is broken or empty gets a row with the reason in place of scores; the others are predicted, a "
    "line at the end counts both, and the exit code is 0. Where no image could be used it is 2, and no file is written."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return command.run(_main, argv)


def _main(argv: Sequence[str] | None) -> None:
    options = parse("predict.py", DESCRIPTION, GROUPS, argv, ("model", "paths"))
    asked: PredictOptions = options["prediction"]
    source = find_model(asked.model, asked.classes, BACKBONES)
    given = {name: value for name in ("weights", "width") if (value := getattr(asked, name)) is not None}
    require(source.kind == "backbone" or not given, "Expected --weights and --width only with a backbone", **given)
    backbone = BackboneOptions(**{"weights": "imagenet", **given})
    files = ImageFiles(options["images"])
    listed = first_of(files)
    with native_log.captured():
        # TensorFlow takes seconds to import, and what could be refused without it has been.
        from models.backbones.build import build_imagenet_model
        from models.inference import Classifier, load_network
        from pipelines.images.stream import stream_images
        from scripts.judging.predicting import predict

        shape = None if asked.image_size is None else (asked.image_size, asked.image_size, 3)
        network = load_network(source, backbone.weights, lambda name, _: build_imagenet_model(name, backbone, shape))
        spec = _spec(asked, source, network)
        form = form_of(source.stored_as)
        classifier = Classifier(network, source, None if spec is None else spec.shape, asked.batch_size)
        columns = _columns(asked, classifier.classes)
        images = stream_images(listed, spec, form=form, threads=asked.threads, max_pixels=asked.max_pixels)
        with contextlib.closing(images), _stream(asked) as stream:
            write = writer(asked.written_as, stream, columns, nested=asked.columns is None)
            tally = predict(asked, classifier, images, write)
    _say(asked, files, tally)


def _spec(asked: PredictOptions, source: ModelSource, network: "Network") -> InputSpec | None:
    """Size, channels and fit of the images; None where the model decodes them itself."""
    if network.takes_files:
        given = {name: getattr(asked, name) for name in ("image_size", "fit") if getattr(asked, name) is not None}
        require(
            not given, f"Expected no --image-size and --fit with {source.name}, which decodes images itself", **given
        )
        return None
    height, width, channels = network.shape
    require(height == width, f"Expected {source.name} to take square images", height=height, width=width)
    channels = channels or source.channels or 3
    require(
        channels in (1, 3), f"Expected {source.name} to take images of 1 or 3 channels, the last", channels=channels
    )
    size = height or source.image_size
    for name, known, flag in (("image_size", size, "--image-size"), ("fit", source.fit, "--fit")):
        given = getattr(asked, name)
        expected = f"Expected {flag} {known}, as {source.name} has it"
        require(given in (None, known) or known is None, expected, **{name: given}, do="Leave the option out.")
    size = size or asked.image_size
    do = "Give the one it was trained at."
    require(size is not None, f"Expected --image-size for {source.name}, which leaves it open", do=do)
    return InputSpec(image_size=size, channels=channels, fit=source.fit or asked.fit or "stretch")


def _columns(asked: PredictOptions, classes: Sequence[str]) -> dict[str, Any]:
    if asked.columns is None:
        return columns_of(classes, asked.named, all_scores=asked.all_scores)
    return chosen_columns(asked.columns, classes)


@contextlib.contextmanager
def _stream(asked: PredictOptions) -> Iterator[TextIO]:
    if asked.out is None:
        yield sys.stdout
        sys.stdout.flush()  # here a reader who has seen enough is no error
        return
    path = Path(asked.out)
    with whole_file(path) as temporary:
        with temporary.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        if not asked.overwrite and path.exists():  # it was not there at the start
            raise input_error("Expected --out to name a new file", out=asked.out, do="Replace it with --overwrite.")


def _say(asked: PredictOptions, files: ImageFiles, tally: "Tally") -> None:
    if asked.quiet:
        return
    failed = f", {tally.failed:,} of them could not be used (first: {tally.first})" if tally.failed else ""
    aside = f"; {files.aside:,} files passed over, no images by their names" if files.aside else ""
    where = f": {asked.out}" if asked.out is not None else ""
    stream = sys.stdout if asked.out is not None else sys.stderr
    print(f"{tally.images:,} images{failed}{aside}{where}", file=stream)


if __name__ == "__main__":
    sys.exit(main())
