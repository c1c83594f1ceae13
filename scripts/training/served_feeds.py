"""A dataset folder whose training batches are made by the workers of a data service; evaluation is read here."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

import tensorflow as tf

from base.errors import input_error, require
from models.training.feed import Feed
from pipelines.augment.augmentation import Augmentation
from pipelines.reading.options import ReaderOptions
from pipelines.reading.sample_weights import weighted
from pipelines.reading.split_files import FILE_ERRORS, SplitFiles
from pipelines.service.arrivals import Arrivals
from pipelines.service.batches import Served, Ticker, said_by_worker
from pipelines.service.dispatcher import require_workers
from scripts.training.dispatcher_watch import watched
from scripts.training.feeds import Data

_ELSEWHERE = (
    "batches come in no fixed order, and a worker that dies loses those it has; exact resume is off; "
    "files are read at the same path on every worker"
)
_SERVICE_SECONDS = 20.0  # within which a dispatcher has to answer at the start, and to have a worker
_PATIENCE = 60.0  # seconds that it may be silent afterwards


class ServedData(Data):
    """As `Data`, with one argument more: `service`, grpc://host:port of the dispatcher."""

    def __init__(self, *arguments, service: str, **named) -> None:
        super().__init__(*arguments, **named)
        require(
            self._options.sampling == "natural",
            "Expected --sampling natural with --data-service, whose workers hold no split",
            sampling=self._options.sampling,
        )
        self._service = service
        self._workers: tuple[str, ...] = ()
        self._served: Served | None = None
        self._ticker: Ticker | None = None

    @property
    def arrivals(self) -> Callable[[], Arrivals] | None:
        """What came so far of the training feed."""
        return None if self._ticker is None else self._ticker.arrivals

    def training(self, split: str, start_step: int = 0, augmentation: Augmentation | None = None) -> Feed:
        """The endless feed of a split, from a step on; the workers augment, where it is done in the input pipeline.

        Raises:
            InputError: The data service does not answer, or has no worker.
        """
        files = SplitFiles(folder=self._folder.absolute(), manifest=self._manifest, name=split)
        threads = self._options.decode_threads
        self._served = Served(files=files, frames=self._training, address=self._service, threads=threads)
        self._workers = tuple(require_workers(self._service, _SERVICE_SECONDS))
        compiled = None if augmentation is None else tf.function(augmentation, jit_compile=True, autograph=False)
        dataset, self._ticker = self._served.training_batches(
            self._parts, seed=self._seed, start_step=start_step, augment=compiled
        )
        if self._sample_weights is not None:
            dataset = weighted(dataset, self._sample_weights)
        return Feed(dataset=dataset, examples=files.split.examples, batch_size=self._parts.batch_size)

    @contextlib.contextmanager
    def reading(self, *, training: bool = False) -> Iterator[None]:
        """As in `Data`; while training the data service has to answer."""
        with watched(self._service, _PATIENCE) if training else contextlib.nullcontext(), super().reading():
            try:
                yield
            except FILE_ERRORS as error:
                raise (self._error_elsewhere(error) if training else error) from None

    def describe(self) -> dict[str, str]:
        """Title -> how the data is read, for the start of a run."""
        here = super().describe()
        elsewhere = f"train: read by {len(self._workers)} workers of the data service"
        together = "; ".join(text for text in (elsewhere, here["data"]) if text)
        return {**here, "data": together, "data service": f"{self._service}: {_ELSEWHERE}"}

    def options(self, split: str) -> ReaderOptions:
        """The options of reading a split for training, every default resolved."""
        return dataclasses.replace(self._options, memory_budget=self._options.memory_budget or self._budget.total)

    def _error_elsewhere(self, error: Exception) -> Exception:
        missing = isinstance(error, tf.errors.NotFoundError | tf.errors.PermissionDeniedError)
        found = None if missing or self._served is None else self._served.files.culprit(self._training)
        return found or input_error(
            f"Expected the data service's workers to read {self._folder.absolute()}, at the same path as here",
            **said_by_worker(error),
        )
