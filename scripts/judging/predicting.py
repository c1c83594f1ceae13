"""Images through a model: read and decoded ahead on all cores, in batches, a row each, in order."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from base.errors import require
from models.inference import Classifier
from pipelines.conversion.report import progress_bar
from pipelines.images.stream import StreamedImage
from pipelines.native_errors import reason_of
from pipelines.sources.source import Unreadable
from scripts.judging.predict_options import PredictOptions
from scripts.judging.predictions import Row, Write


class Tally:
    """What came out so far."""

    def __init__(self) -> None:
        self.images, self.failed, self.first = 0, 0, ""

    def add(self, rows: Sequence[Row]) -> None:
        """Counts rows."""
        bad = [row for row in rows if row.error]
        self.images += len(rows)
        self.failed += len(bad)
        self.first = self.first or (f"{bad[0].image}: {bad[0].error}" if bad else "")


def predict(asked: PredictOptions, classifier: Classifier, images: Iterator[StreamedImage], write: Write) -> Tally:
    """Writes a row an image, in order; images are read and decoded while the model computes.

    Raises:
        InputError: Not one of them could be used.
    """
    tally, waiting = Tally(), []
    shown = asked.out is not None and not asked.quiet
    with progress_bar(None, shown=shown, verb="predicting") as progress:

        def flush() -> None:
            rows = _rows(waiting, classifier)
            write(rows)
            tally.add(rows)
            progress(len(waiting), sum(image.bytes for image in waiting))
            waiting.clear()

        for image in images:
            waiting.append(image)
            if len(waiting) == classifier.batch_size:
                flush()
        if waiting:
            flush()
    require(
        tally.failed < tally.images,
        "Expected an image that can be used",
        images=tally.images,
        first=tally.first,
    )
    return tally


def _rows(images: Sequence[StreamedImage], classifier: Classifier) -> list[Row]:
    good = [image for image in images if not isinstance(image.image, Unreadable)]
    scored = iter(_scored([image.image for image in good], classifier))
    rows = []
    for image in images:
        scores = image.image if isinstance(image.image, Unreadable) else next(scored)
        if isinstance(scores, Unreadable):
            rows.append(Row(image.name, None, None, scores.reason))
        elif not np.isfinite(scores).all():
            rows.append(Row(image.name, None, None, "the model's scores are no finite numbers"))
        else:
            rows.append(Row(image.name, scores, np.argsort(-scores, kind="stable")))
    return rows


def _scored(images: Sequence[Any], classifier: Classifier) -> list[Any]:
    """The scores of each image, or why the model could not decode it."""
    if not images:
        return []
    try:
        return list(classifier.scores(images))
    except tf.errors.InvalidArgumentError as error:
        if not isinstance(images[0], bytes):
            raise
        if len(images) > 1:
            return [_scored([image], classifier)[0] for image in images]
        return [Unreadable(f"the model can't decode it: {reason_of(error)}")]
